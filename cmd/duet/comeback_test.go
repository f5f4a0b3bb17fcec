//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/duetcall/duet/signaling"
	"github.com/duetcall/duet/signaling/client"
)

// meets reads on until a message is the one that is waited for.
func meets(ctx context.Context, member *client.Session, want func(signaling.Outbound) bool) error {
	for {
		event, err := member.Next(ctx)
		switch {
		case err != nil:
			return err
		case event.Type == signaling.TypeJoined:
			return errors.New("it is another member now")
		case want(event):
			return nil
		}
	}
}

func TestAThousandMembersAreBackInTheirRoomsSecondsAfterAKill(t *testing.T) {
	t.Setenv("STATE_DIRECTORY", t.TempDir())
	d := startProcess(t, annAndBob)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	members := make([]*client.Session, 1000)
	for n := range members {
		from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 1, byte(n/2>>8), byte(n/2))}}
		member, err := client.Join(ctx, "ws://"+d.http+"/v1/ws", client.Options{Room: fmt.Sprint("room ", n/2), Dial: from.DialContext})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(member.Close)
		members[n] = member
	}

	took := make([]time.Duration, len(members))
	var back errgroup.Group
	d.kill()
	killed := time.Now()
	for n, member := range members {
		back.Go(func() error {
			err := meets(ctx, member, func(event signaling.Outbound) bool { return event.Type == signaling.TypeResumed })
			took[n] = time.Since(killed)
			return err
		})
	}
	d.start()
	if err := back.Wait(); err != nil {
		t.Fatal(err)
	}
	slices.Sort(took)
	t.Logf("back: 50 %% after %v, 95 %% after %v, all after %v", took[500], took[950], took[999])
	if took[950] > 5*time.Second || took[999] > 10*time.Second {
		t.Errorf("95 %% were back after %v, all after %v", took[950], took[999])
	}

	// Each hears the same other as before.
	for n := 1; n < len(members); n += 2 {
		caller, hearer := members[n], members[n-1]
		if err := caller.Signal(ctx, hearer.Self().ID, nil, nil); err != nil {
			t.Fatal(err)
		}
		if err := meets(ctx, hearer, func(event signaling.Outbound) bool { return event.From == caller.Self().ID }); err != nil {
			t.Fatal(err)
		}
	}
}
