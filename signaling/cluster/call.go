package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/duetcall/duet/signaling"
)

const (
	// maxServed is how many requests of other nodes are answered at once. As many wait; more are not
	// answered.
	maxServed = 256
	// callTimeout is how long a call may take whose context has no end.
	callTimeout = 5 * time.Second
)

// tooLarge is the header of an answer in place of one that NATS does not carry.
const tooLarge = "Duet-Too-Large"

func (c *Cluster) subject(node string) string { return c.opts.Bucket + ".node." + node }

// Call implements [signaling.Cluster].
func (c *Cluster) Call(ctx context.Context, node string, request []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	c.stats.calls.Add(1)
	reply, err := c.conn.RequestWithContext(ctx, c.subject(node), request)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return nil, fmt.Errorf("%w: %s", signaling.ErrNoNode, node)
	case err == nil && reply.Header.Get(tooLarge) != "":
		err = fmt.Errorf("its answer has %s bytes, more than max_payload of NATS", reply.Header.Get(tooLarge))
	}
	if err != nil {
		c.stats.failedCalls.Add(1)
		return nil, fmt.Errorf("%w: asking node %s: %w", signaling.ErrUnavailable, node, err)
	}
	return reply.Data, nil
}

// Serve implements [signaling.Cluster].
func (c *Cluster) Serve(ctx context.Context, handle func(ctx context.Context, request []byte) []byte) error {
	asked := make(chan *nats.Msg, maxServed)
	subscription, err := c.conn.ChanSubscribe(c.subject(c.node), asked)
	if err != nil {
		return fmt.Errorf("serving other nodes: %w", err)
	}
	defer func() { _ = subscription.Unsubscribe() }()
	if err := c.conn.FlushTimeout(setupTimeout / 2); err != nil {
		return fmt.Errorf("serving other nodes: %w", err)
	}
	var handlers sync.WaitGroup
	defer handlers.Wait()
	slots := make(chan struct{}, maxServed)
	for {
		select {
		case <-ctx.Done():
			return nil
		case msg := <-asked:
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return nil
			}
			c.stats.served.Add(1)
			handlers.Go(func() {
				defer func() { <-slots }()
				c.answer(msg, handle(ctx, msg.Data))
			})
		}
	}
}

// answer replies to a call. Who asked notices by itself if nothing comes.
func (c *Cluster) answer(msg *nats.Msg, reply []byte) {
	if int64(len(reply)) <= c.conn.MaxPayload() {
		_ = msg.Respond(reply)
		return
	}
	_ = msg.RespondMsg(&nats.Msg{Header: nats.Header{tooLarge: {fmt.Sprint(len(reply))}}})
}
