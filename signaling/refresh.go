package signaling

import (
	"hash/fnv"
	"time"
)

// How often the server looks for credentials that are about to expire, and for a relay that is
// reached by other URLs: as often as the lifetime asks for, within these bounds.
const (
	refreshAtMost  = 15 * time.Second
	refreshAtLeast = time.Second
)

// minLead is the shortest time before the end of its credentials at which a member gets new
// ones, if they live longer than twice that.
const minLead = time.Minute

// lead is how long before their end credentials of that lifetime are replaced: a tenth of it,
// at least a minute, and never more than half.
func lead(lifetime time.Duration) time.Duration {
	return min(max(lifetime/10, minLead), lifetime/2)
}

// freshness is what a session was told of the relay.
type freshness struct {
	due  int64  // when it needs new credentials, in nanoseconds since 1970; 0: never
	urls uint64 // the fingerprint of the URLs
}

// mint makes m's way to our relay. Whatever m is told of it comes from here: from then on new
// credentials come before these expire.
func (s *Server) mint(m *session) ICE {
	ice := s.opts.ICEServers(m.id)
	is := freshness{urls: fingerprint(ice)}
	if !ice.Expires.IsZero() {
		is.due = ice.Expires.Add(-lead(time.Until(ice.Expires))).UnixNano()
		s.refreshing.Do(func() { s.background.Go(s.keepFresh) }) // Shutdown ends it
	}
	m.mu.Lock()
	m.fresh = is
	m.mu.Unlock()
	return ice
}

// keepFresh looks after the credentials of all sessions until the server ends. One loop for all
// costs less than a timer for each.
func (s *Server) keepFresh() {
	var urls uint64
	every := refreshAtLeast
	for {
		select {
		case <-time.After(every):
		case <-s.ctx.Done():
			return
		}
		// What a member would be told now, whoever it is.
		sample := s.opts.ICEServers("")
		every = min(max(lead(time.Until(sample.Expires))/2, refreshAtLeast), refreshAtMost)
		was := urls
		urls = fingerprint(sample)
		s.refresh(time.Now(), was != urls)
	}
}

// refresh sends new credentials to those who need them: theirs are about to expire, or, if the
// URLs of the relay have changed, they know others.
func (s *Server) refresh(now time.Time, changed bool) {
	for _, m := range s.registry.all() {
		m.mu.Lock()
		had, here := m.fresh, m.conn != nil // who is away gets them when it resumes
		m.mu.Unlock()
		expires := had.due != 0 && now.UnixNano() >= had.due
		if !here || !expires && !changed {
			continue
		}
		ice := s.ice(m)
		m.mu.Lock()
		moved := m.fresh.urls != had.urls
		m.mu.Unlock()
		if expires || moved {
			m.renew(&ice)
		}
	}
}

// renew tells m of its new credentials: now, or with joined if it still waits to be let in.
func (m *session) renew(ice *ICE) {
	m.view.mu.Lock()
	defer m.view.mu.Unlock()
	switch {
	case m.told:
		m.send(&Outbound{Type: TypeICE, ICE: ice})
	case m.welcome != nil:
		m.welcome = ice
	}
}

// fingerprint tells lists of URLs apart.
func fingerprint(ice ICE) uint64 {
	h := fnv.New64a()
	for _, server := range ice.Servers {
		for _, url := range server.URLs {
			_, _ = h.Write([]byte(url + "\n"))
		}
	}
	return h.Sum64()
}
