package relay

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"sync"
	"time"
)

// errNoPort says that every relay port is taken.
var errNoPort = errors.New("every relay port is in use")

// errPortTaken is how an opener says that another program has the port.
var errPortTaken = errors.New("port is taken by another program")

// foreignRetry is how long a port that another program holds is left alone.
const foreignRetry = time.Second

// portPool hands out the relay ports of one address: each exactly once, in
// random order (RFC 8656 section 7.2 wants them hard to guess), and the one that
// came back last not before the others. It opens no socket itself.
type portPool struct {
	mu sync.Mutex
	// free holds even ports in [0] and odd ones in [1]; the last element of
	// each is the one that came back last.
	free [2][]uint16
	// foreign are ports that turned out to belong to other programs. They are
	// tried again when nothing else is left, at most once per foreignRetry.
	foreign      []uint16
	foreignSince time.Time
	size, used   int
}

func newPortPool(first, last int) *portPool {
	p := &portPool{size: last - first + 1}
	for port := first; port <= last; port++ {
		p.free[port%2] = append(p.free[port%2], uint16(port))
	}
	return p
}

// take finds a port, an even one if asked, that open succeeds on. An open that
// fails with errPortTaken makes it try the next; any other error ends the search.
func (p *portPool) take(even bool, now time.Time, open func(port uint16) error) error {
	for {
		port, ok := p.draw(even, now)
		if !ok {
			return errNoPort
		}
		switch err := open(port); {
		case err == nil:
			return nil
		case errors.Is(err, errPortTaken):
			p.setAside(port, now)
		default:
			p.put(port)
			return err
		}
	}
}

// draw takes a random free port out of the pool.
func (p *portPool) draw(even bool, now time.Time) (uint16, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	half := p.half(even)
	if len(p.free[half]) == 0 && len(p.foreign) > 0 && now.Sub(p.foreignSince) >= foreignRetry {
		for _, port := range p.foreign {
			p.free[port%2] = append(p.free[port%2], port)
		}
		p.foreign = p.foreign[:0]
		half = p.half(even)
	}
	free := p.free[half]
	if len(free) == 0 {
		return 0, false
	}
	last := len(free) - 1
	chosen := 0
	if last > 0 {
		chosen = randomIndex(last) // never the last one
	}
	port := free[chosen]
	// Fill the gap from below the last, so that the last stays last.
	if last > 0 {
		free[chosen] = free[last-1]
		free[last-1] = free[last]
	}
	p.free[half] = free[:last]
	p.used++
	return port, true
}

// half chooses between even and odd ports: as many chances as ports.
func (p *portPool) half(even bool) int {
	evens, odds := len(p.free[0]), len(p.free[1])
	if even || odds == 0 {
		return 0
	}
	if evens == 0 || randomIndex(evens+odds) >= evens {
		return 1
	}
	return 0
}

// put gives a port back.
func (p *portPool) put(port uint16) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free[port%2] = append(p.free[port%2], port)
	p.used--
}

func (p *portPool) setAside(port uint16, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.foreign = append(p.foreign, port)
	p.foreignSince = now
	p.used--
}

// usage returns how many ports allocations hold, and of how many.
func (p *portPool) usage() (used, size int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.used, p.size
}

// randomIndex returns an unpredictable number in [0, n). The bias of the
// remainder is below n/2^64.
func randomIndex(n int) int {
	var b [8]byte
	rand.Read(b[:])
	return int(binary.LittleEndian.Uint64(b[:]) % uint64(n))
}
