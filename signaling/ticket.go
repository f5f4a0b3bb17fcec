package signaling

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"fmt"
)

// KeySize is the size of Options.SessionKey in bytes.
const KeySize = 32

// ticket is what a session's key holds, sealed: enough to know the session by, and to
// make it anew in a process that never saw it.
type ticket struct {
	Session string `json:"s"`
	Room    string `json:"r"`
	Name    string `json:"n,omitempty"`
	Order   uint64 `json:"o"`
	// Generation counts the session's keys; each is good for one resume.
	Generation uint64   `json:"g"`
	Secret     [32]byte `json:"k"`
}

// sealer makes keys that nobody else can make or read.
type sealer struct{ aead cipher.AEAD }

// newSealer takes KeySize bytes, or none: then keys hold in this process only.
func newSealer(key []byte) sealer {
	if key == nil {
		key = make([]byte, KeySize)
		rand.Read(key)
	}
	block, err := aes.NewCipher(key)
	if err == nil && len(key) != KeySize {
		err = fmt.Errorf("%d bytes", len(key))
	}
	if err != nil {
		panic("signaling: Options.SessionKey: " + err.Error())
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic("signaling: " + err.Error()) // only of other block sizes
	}
	return sealer{aead}
}

// purpose keeps a sealed ticket from being taken for anything else.
var purpose = []byte("duet.v1 session")

func (s sealer) seal(t ticket) string {
	plain, err := json.Marshal(t)
	if err != nil {
		panic("signaling: " + err.Error()) // there is nothing in it that can fail
	}
	return base64.RawURLEncoding.EncodeToString(s.aead.Seal(nil, nil, plain, purpose))
}

// open returns the ticket of a key that seal made, and false for any other.
func (s sealer) open(key string) (t ticket, ok bool) {
	sealed, err := base64.RawURLEncoding.DecodeString(key)
	if err != nil {
		return ticket{}, false
	}
	plain, err := s.aead.Open(nil, nil, sealed, purpose)
	return t, err == nil && json.Unmarshal(plain, &t) == nil
}

// keys is which keys a session accepts. A key is good for one resume. Whoever resumes
// says in attempt, at random, which resume it is; so one that never got its answer may
// ask again with the same key, which nobody else can.
type keys struct {
	generation       uint64
	secret, previous [32]byte
	attempt          string // that used the previous key
}

// accept reports whether the ticket opens the session now. If so the key is used up, and
// the next is to be issued.
func (k *keys) accept(t ticket, attempt string) bool {
	is := func(secret [32]byte) bool { return subtle.ConstantTimeCompare(t.Secret[:], secret[:]) == 1 }
	switch {
	case t.Generation == k.generation && is(k.secret):
		k.generation++
		k.previous, k.attempt = k.secret, attempt
		rand.Read(k.secret[:])
		return true
	case t.Generation+1 == k.generation && is(k.previous):
		return attempt != "" && subtle.ConstantTimeCompare([]byte(attempt), []byte(k.attempt)) == 1
	default:
		return false
	}
}
