package signaling

import "sync/atomic"

// replayBudget is how many bytes all sessions together may keep for replay. Beyond it
// a session keeps nothing, and resumes with losses.
const replayBudget = 256 << 20

// replay keeps the frames that a session was sent until its client is known to have
// them: queueMessages and queueBytes of them at most, then the oldest go, and a
// client that lacks them is told when it resumes. It is not safe for concurrent use.
type replay struct {
	frames [][]byte // of consecutive seq
	last   uint64   // seq of the newest frame, or of the newest that is gone
	bytes  int
	total  *atomic.Int64 // bytes of all sessions
}

// add appends the frame of the next seq.
func (r *replay) add(frame []byte) {
	r.last++
	r.frames = append(r.frames, frame)
	r.bytes += len(frame)
	over := r.total.Add(int64(len(frame))) > replayBudget
	for over && len(r.frames) > 0 || len(r.frames) > queueMessages || r.bytes > queueBytes {
		r.drop(1)
	}
}

// acknowledge forgets what the client has: everything up to seq.
func (r *replay) acknowledge(seq uint64) {
	if seq <= r.last {
		r.drop(len(r.frames) - int(min(r.last-seq, uint64(len(r.frames)))))
	}
}

// after returns the frames behind seq. lost says that some are gone, or that seq is
// none of this session's: then there are none.
func (r *replay) after(seq uint64) (frames [][]byte, lost bool) {
	if seq > r.last || r.last-seq > uint64(len(r.frames)) {
		return nil, true
	}
	return r.frames[uint64(len(r.frames))-(r.last-seq):], false
}

// clear forgets every frame.
func (r *replay) clear() { r.drop(len(r.frames)) }

func (r *replay) drop(n int) {
	for _, frame := range r.frames[:n] {
		r.bytes -= len(frame)
		r.total.Add(-int64(len(frame)))
	}
	clear(r.frames[:n])
	r.frames = r.frames[n:]
	if len(r.frames) == 0 {
		r.frames = nil // an idle member keeps no array
	}
}
