package relay

import (
	"net/netip"
	"time"

	"github.com/duetcall/duet/addrlimit"
	"github.com/duetcall/duet/config"
)

// What is fixed of the limits on strangers; error_rate and binding_rate are
// configured.
const (
	// failedProofs is how many requests a second with a wrong credential are
	// looked at per source. Such a source has a nonce of ours, so it is where it
	// says it is.
	failedProofs = 100
	// unprovenWork is how many answers and checks a second all strangers get: at
	// two or three microseconds each, a fraction of one core.
	unprovenWork = 50_000
)

// limits bound what strangers can make us do. Requests on a 5-tuple that has an
// allocation, and those that prove to know a credential, are not strangers': no
// flood silences a running call.
type limits struct {
	errors, bindings, proofs, work *addrlimit.Rate
}

func newLimits(cfg config.Turn) *limits {
	return &limits{
		errors:   addrlimit.NewRate(cfg.ErrorRate, time.Second, addrlimit.Size),
		bindings: addrlimit.NewRate(cfg.BindingRate, time.Second, addrlimit.Size),
		proofs:   addrlimit.NewRate(failedProofs, time.Second, addrlimit.Size),
		work:     addrlimit.NewRate(unprovenWork, time.Second, 1),
	}
}

// answer takes one answer from a source's budget and from that of all, or says
// which of them is used up.
func (l *limits) answer(perSource *addrlimit.Rate, source netip.Addr, now time.Time) Drop {
	switch {
	case !perSource.Take(source, now):
		return DropRate
	case !l.work.Take(source, now):
		return DropBudget
	default:
		return kept
	}
}
