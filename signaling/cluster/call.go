package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/duetcall/duet/signaling"
)

// maxServed is how many requests of other nodes are answered at once. More wait in the connection.
const maxServed = 256

func (c *Cluster) subject(node string) string { return c.opts.Bucket + ".node." + node }

// Call implements [signaling.Cluster].
func (c *Cluster) Call(ctx context.Context, node string, request []byte) ([]byte, error) {
	c.stats.calls.Add(1)
	reply, err := c.conn.RequestWithContext(ctx, c.subject(node), request)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return nil, fmt.Errorf("%w: %s", signaling.ErrNoNode, node)
	case err != nil:
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
				_ = msg.Respond(handle(ctx, msg.Data)) // who asked notices that no answer comes
			})
		}
	}
}
