package kill

import (
	"fmt"
	"testing"
	"time"

	"github.com/pion/stun/v3"
)

// Whoever takes all of the server's file descriptors takes no call, and when they are
// given back it serves again within two seconds.
func TestWantOfFileDescriptorsIsOutlived(t *testing.T) {
	const files = 200
	d := start(t, files)
	c := talk(t, d)
	before := d.level(t)
	var held []*attacker
	for source := range 4 { // more than the limit, of sources that may have as many
		for range 100 {
			held = append(held, d.from(t, fmt.Sprintf("127.0.13.%d", 1+source), []string{"tcp", "secure"}[source%2]))
		}
	}
	a := d.from(t, "127.0.13.9", "udp")
	a.want(508, stun.MethodAllocate, overUDP) // there is no socket for it
	d.alive(t)
	c.areHeard(t)
	for _, h := range held {
		_ = h.conn.Close()
	}
	freed := time.Now()
	for _, transport := range []string{"tcp", "tls", "udp"} {
		late := d.from(t, "127.0.13.10", transport)
		late.want(0, stun.MethodAllocate, overUDP)
		late.want(0, stun.MethodRefresh, lifetime(0))
		_ = late.conn.Close()
	}
	if took := time.Since(freed); took > 2*time.Second {
		t.Errorf("serving again after %v, want two seconds", took)
	}
	c.areHeard(t)
	d.returnsTo(t, before)
}
