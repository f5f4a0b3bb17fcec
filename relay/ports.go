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
	first int

	mu sync.Mutex
	// free holds even ports in [0] and odd ones in [1]; the last element of
	// each is the one that came back last.
	free [2][]uint16
	// at is where each port is in its free list, counted from 1; 0: it is not free.
	at []int32
	// foreign are ports that turned out to belong to other programs. They are
	// tried again when nothing else is left, at most once per foreignRetry.
	foreign      []uint16
	foreignSince time.Time
	used         int
}

func newPortPool(first, last int) *portPool {
	p := &portPool{first: first, at: make([]int32, last-first+1)}
	for port := first; port <= last; port++ {
		p.add(uint16(port))
	}
	return p
}

// portWish is what a client wants of its port (RFC 8656 section 7.2).
type portWish int

const (
	anyPort portWish = iota
	evenPort
	portPair // an even port, and the next one in reserve
)

// take finds a port that open succeeds on. An open that fails with
// errPortTaken makes it try the next; any other error ends the search. Of a pair
// both ports are taken, and open is called for both, the odd one first.
func (p *portPool) take(wish portWish, now time.Time, open func(port uint16) error) error {
	for {
		port, ok := p.draw(wish, now)
		if !ok {
			return errNoPort
		}
		err := error(nil)
		if wish == portPair {
			if err = p.settle(port+1, open(port+1), now); err != nil {
				p.put(port)
			}
		}
		if err == nil {
			if err = p.settle(port, open(port), now); err != nil && wish == portPair {
				p.put(port + 1)
			}
		}
		if err == nil || !errors.Is(err, errPortTaken) {
			return err
		}
	}
}

// settle keeps a port if it could be opened, and else gives it back or sets it aside.
func (p *portPool) settle(port uint16, err error, now time.Time) error {
	switch {
	case errors.Is(err, errPortTaken):
		p.setAside(port, now)
	case err != nil:
		p.put(port)
	}
	return err
}

// draw takes a random free port, or pair, out of the pool.
func (p *portPool) draw(wish portWish, now time.Time) (uint16, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	port, ok := p.pick(wish)
	if !ok && len(p.foreign) > 0 && now.Sub(p.foreignSince) >= foreignRetry {
		for _, port := range p.foreign {
			p.add(port)
		}
		p.foreign = p.foreign[:0]
		port, ok = p.pick(wish)
	}
	if !ok {
		return 0, false
	}
	p.remove(port)
	if wish == portPair {
		p.remove(port + 1)
	}
	return port, true
}

func (p *portPool) pick(wish portWish) (uint16, bool) {
	evens, odds := len(p.free[0]), len(p.free[1])
	if wish == portPair {
		return p.pickPair()
	}
	free := p.free[0]
	if wish == anyPort && odds > 0 && (evens == 0 || randomIndex(evens+odds) >= evens) {
		free = p.free[1] // as many chances as ports
	}
	switch len(free) {
	case 0:
		return 0, false
	case 1:
		return free[0], true
	default:
		return free[randomIndex(len(free)-1)], true // never the last one
	}
}

// pickPair looks from a random even port on.
func (p *portPool) pickPair() (uint16, bool) {
	evens := p.free[0]
	if len(evens) == 0 {
		return 0, false
	}
	start := randomIndex(len(evens))
	for i := range evens {
		port := evens[(start+i)%len(evens)]
		if p.isFree(int(port) + 1) {
			return port, true
		}
	}
	return 0, false
}

func (p *portPool) isFree(port int) bool {
	i := port - p.first
	return i >= 0 && i < len(p.at) && p.at[i] > 0
}

func (p *portPool) add(port uint16) {
	half := &p.free[port%2]
	*half = append(*half, port)
	p.at[int(port)-p.first] = int32(len(*half))
}

// remove fills the gap from below the last, so that the last stays last.
func (p *portPool) remove(port uint16) {
	half := &p.free[port%2]
	free, last := *half, len(*half)-1
	if gap := int(p.at[int(port)-p.first]) - 1; gap < last {
		for _, move := range [][2]int{{last - 1, gap}, {last, last - 1}} {
			free[move[1]] = free[move[0]]
			p.at[int(free[move[1]])-p.first] = int32(move[1] + 1)
		}
	}
	p.at[int(port)-p.first] = 0
	*half = free[:last]
	p.used++
}

// put gives a port back.
func (p *portPool) put(port uint16) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.add(port)
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
	return p.used, len(p.at)
}

// randomIndex returns an unpredictable number in [0, n). The bias of the
// remainder is below n/2^64.
func randomIndex(n int) int {
	var b [8]byte
	rand.Read(b[:])
	return int(binary.LittleEndian.Uint64(b[:]) % uint64(n))
}
