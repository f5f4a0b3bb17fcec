package cluster

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/duetcall/duet/signaling"
)

func TestADrainMovesMembersToAnotherNodeOneAfterTheOther(t *testing.T) {
	const rooms, window = 10, time.Second
	_, nodes := service(t)
	first, second := nodes[0], nodes[1]
	var members []*client
	for i := range 2 * rooms {
		c, _ := join(t, first, fmt.Sprint("room ", i/2), "")
		members = append(members, c)
	}
	for i := 0; i < len(members); i += 2 {
		members[i].member(signaling.EventJoined, members[i+1].id)
	}

	began := time.Now()
	asked := make([]time.Duration, len(members))
	first.signaling.Drain(window)
	var reading sync.WaitGroup
	for i, c := range members {
		reading.Go(func() {
			for out := range c.told {
				if out.Seq != 0 { // the other one is away
					c.seq = out.Seq
				}
				if out.Type == signaling.TypeGoaway && out.Reason == signaling.ReasonDrain && out.ReconnectInMS >= 300 && out.ReconnectInMS <= 1300 {
					asked[i] = time.Since(began)
				}
			}
		})
	}
	_, resp, err := dialer.DialContext(t.Context(), first.ws(), nil)
	if err == nil || resp == nil || resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a newcomer at the node that drains: %v, want 503", err)
	}
	reading.Wait()

	// They were asked evenly: neither all at the beginning nor all at the end.
	early := 0
	for i, at := range asked {
		if at == 0 || at > window+window/2 {
			t.Errorf("member %d was asked after %v", i, at)
		}
		if at < window/2 {
			early++
		}
	}
	if early < len(members)/4 || early > 3*len(members)/4 {
		t.Errorf("%d of %d were asked in the first half", early, len(members))
	}
	if first.signaling.Drained() {
		t.Error("the seats are still here, and it is said to be drained")
	}

	for i, c := range members {
		again, resumed := resume(t, second, c)
		if *resumed.Lost {
			t.Errorf("member %d has lost something", i)
		}
		members[i] = again
	}
	within(t, "the node has nobody left", func() bool { return first.signaling.Drained() })
	if got := second.signaling.Stats(); got.Members != int64(len(members)) || got.Away != 0 {
		t.Errorf("the other node: %+v", got)
	}

	// It is the same call.
	members[0].signal(members[1].id, "still here")
	for out := members[1].next("a signal"); out.Type != signaling.TypeSignal; out = members[1].next("a signal") {
	}
}
