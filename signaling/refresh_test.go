package signaling

import (
	"encoding/json"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// minting is an ICEServers whose credentials live that long and lead to the URL that is set.
func minting(lifetime time.Duration, url *atomic.Value) func(string) ICE {
	return func(member string) ICE {
		return ICE{
			Servers: []ICEServer{{URLs: []string{url.Load().(string)}, Username: member, Credential: "secret"}},
			Expires: time.Now().Add(lifetime).Truncate(time.Second),
		}
	}
}

func relayAt(url string) *atomic.Value {
	v := new(atomic.Value)
	v.Store(url)
	return v
}

// listen returns what c is told from now on, while it answers pings as a browser does.
func (c *client) listen() <-chan Outbound {
	told := make(chan Outbound, 100)
	_ = c.ws.SetReadDeadline(time.Time{})
	go func() { // ends with the socket
		defer close(told)
		for {
			_, frame, err := c.ws.ReadMessage()
			if err != nil {
				return
			}
			var out Outbound
			if err := json.Unmarshal(frame, &out); err != nil {
				c.t.Errorf("%s: %v", frame, err)
			}
			select {
			case told <- out:
			default:
				c.t.Errorf("nobody reads what is told: %s", frame)
				_ = c.ws.Close()
			}
		}
	}()
	return told
}

func TestNewCredentialsComeBeforeTheOldOnesExpire(t *testing.T) {
	for _, row := range []struct {
		name           string
		lifetime, lead time.Duration
	}{
		{"half a day: a tenth", 12 * time.Hour, 72 * time.Minute},
		{"five minutes: a minute", 5 * time.Minute, time.Minute},
		{"a minute and a half: half of it", 90 * time.Second, 45 * time.Second},
		{"ten seconds: half of them", 10 * time.Second, 5 * time.Second},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				listener := newPipes()
				_, stop := serveInMemory(t, listener, graceful(), Options{ICEServers: minting(row.lifetime, relayAt("turn:one"))})
				defer stop()
				ann := dialInMemory(t, listener)
				expires := ann.join("tea", "Ann").ICE.Expires
				told := ann.listen()
				for range 5 {
					out := <-told
					left := time.Until(expires)
					late := min(row.lead/2, refreshAtMost) + time.Second // an expiry is in whole seconds
					if out.Type != TypeICE || left > row.lead || left < row.lead-late {
						t.Fatalf("%s came when %v were left, want %v", out.Type, left, row.lead)
					}
					if len(out.ICE.Servers) != 1 || out.ICE.Servers[0].Username != ann.id || !out.ICE.Expires.After(expires) {
						t.Fatalf("got %+v", out.ICE)
					}
					expires = out.ICE.Expires
				}
				ann.cut()
			})
		})
	}
}

func TestMembersLearnOfANewURLOfTheRelayOnceAndSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		url := relayAt("turn:one")
		listener := newPipes()
		_, stop := serveInMemory(t, listener, graceful(), Options{ICEServers: minting(12*time.Hour, url)})
		defer stop()
		ann := dialInMemory(t, listener)
		ann.join("tea", "Ann")
		told := ann.listen()
		time.Sleep(time.Hour)
		url.Store("turn:two")
		bo := dialInMemory(t, listener) // who knows it from the first
		bo.join("milk", "Bo")
		other := bo.listen()
		time.Sleep(refreshAtMost)
		synctest.Wait()
		if len(told) != 1 {
			t.Fatalf("%d messages", len(told))
		}
		if out := <-told; out.Type != TypeICE || out.ICE.Servers[0].URLs[0] != "turn:two" {
			t.Errorf("got %+v", out)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if len(told)+len(other) != 0 {
			t.Errorf("it was said again: %d and %d times", len(told), len(other))
		}
		ann.cut()
		bo.cut()
	})
}

func TestWhoWaitsToBeLetInIsWelcomedWithCredentialsThatHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		listener := newPipes()
		_, stop := serveInMemory(t, listener, graceful(), Options{ICEServers: minting(20*time.Second, relayAt("turn:one"))})
		defer stop()
		ann, cy := dialInMemory(t, listener), dialInMemory(t, listener)
		ann.join("tea", "Ann")
		ann.send(`{"type":"lock","locked":true}`)
		if out := ann.expect(TypeRoom); !out.Room.Locked {
			t.Fatalf("the room is %+v", out.Room)
		}
		told := ann.listen()
		cy.send(`{"type":"join","room":"tea","name":"Cy","knock":true}`)
		waiting := cy.listen()
		time.Sleep(time.Minute)
		var id string
		for id == "" {
			if out := <-told; out.Type == TypeKnock {
				id = out.Knock.ID
			}
		}
		ann.send(`{"type":"admit","id":%q}`, id)
		if out := <-waiting; out.Type != TypeKnocking {
			t.Fatalf("got %+v before anybody opened", out)
		}
		if out := <-waiting; out.Type != TypeJoined || time.Until(out.ICE.Expires) < 5*time.Second {
			t.Errorf("got %s with credentials that hold %v", out.Type, time.Until(out.ICE.Expires))
		}
		ann.cut()
		cy.cut()
	})
}

func TestNobodyKeepsCredentialsForOneWhoIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		listener := newPipes()
		s, stop := serveInMemory(t, listener, graceful(), Options{ICEServers: minting(10*time.Second, relayAt("turn:one"))})
		defer stop()
		ann := dialInMemory(t, listener)
		ann.join("tea", "Ann")
		kept := s.Stats().ReplayBytes
		ann.cut()
		time.Sleep(50 * time.Second)
		synctest.Wait()
		if got := s.Stats(); got.Away != 1 || got.ReplayBytes != kept {
			t.Errorf("%d bytes are kept, %d before; %d away", got.ReplayBytes, kept, got.Away)
		}
	})
}
