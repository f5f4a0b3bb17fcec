package signaling

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
)

// KeySize is the size of Options.SessionKey in bytes.
const KeySize = 32

// secretSize is the size of what makes a session's key hard to guess: 256 bits.
const secretSize = 32

// ticket is what a session's key holds, sealed: enough to know the session by, and to
// make it anew in a process that never saw it.
type ticket struct {
	Session string `json:"s"`
	Room    string `json:"r"`
	Name    string `json:"n,omitempty"`
	Order   uint64 `json:"o"`
	Host    bool   `json:"h,omitempty"`
	Guest   bool   `json:"q,omitempty"`
	Subject string `json:"u,omitempty"`
	// Extra are the ICE servers of the member's grant.
	Extra []ICEServer `json:"i,omitempty"`
	// Born, RoomKey and Locked are the room's.
	Born    string `json:"b,omitempty"`
	RoomKey []byte `json:"x,omitempty"`
	Locked  bool   `json:"l,omitempty"`
	// Generation counts the session's keys; each is good for one resume.
	Generation uint64 `json:"g"`
	Secret     []byte `json:"k"`
}

// sealer makes keys that nobody else can make or read.
type sealer struct {
	aead  cipher.AEAD
	rooms []byte // what keys of rooms are hashed with
}

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
	rooms, err := hkdf.Key(sha256.New, key, nil, "duet.v1 room key", sha256.Size)
	if err != nil {
		panic("signaling: " + err.Error()) // only of sizes that are not these
	}
	return sealer{aead, rooms}
}

// roomKey is what is kept of the key of a room: nobody who reads it can guess the key
// without the server's own. No key: nil.
func (s sealer) roomKey(room, key string) []byte {
	if key == "" {
		return nil
	}
	mac := hmac.New(sha256.New, s.rooms)
	mac.Write(binary.AppendUvarint(nil, uint64(len(room))))
	mac.Write([]byte(room + key))
	return mac.Sum(nil)
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

// Keys is which keys a session accepts. A key is good for one resume. Whoever resumes
// says in attempt, at random, which resume it is; so one that never got its answer may
// ask again with the same key, which nobody else can.
type Keys struct {
	Generation uint64 `json:"generation"`
	Secret     []byte `json:"secret"`
	Previous   []byte `json:"previous,omitempty"`
	Attempt    string `json:"attempt,omitempty"` // that used the previous key
}

// newKeys makes the keys of a session that nobody has resumed.
func newKeys() Keys {
	k := Keys{Secret: make([]byte, secretSize)}
	rand.Read(k.Secret)
	return k
}

// accept reports whether the ticket opens the session now. If so the key is used up, and
// the next is to be issued.
func (k *Keys) accept(t ticket, attempt string) bool {
	is := func(secret []byte) bool { return subtle.ConstantTimeCompare(t.Secret, secret) == 1 }
	switch {
	case t.Generation == k.Generation && is(k.Secret):
		next := newKeys()
		*k = Keys{Generation: k.Generation + 1, Secret: next.Secret, Previous: k.Secret, Attempt: attempt}
		return true
	case t.Generation+1 == k.Generation && is(k.Previous):
		return attempt != "" && subtle.ConstantTimeCompare([]byte(attempt), []byte(k.Attempt)) == 1
	default:
		return false
	}
}
