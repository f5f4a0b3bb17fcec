package relay

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	"github.com/duetcall/duet/config"
)

// Credential is a time-limited TURN credential, as an RTCIceServer carries it.
type Credential struct {
	Username string
	Password string
	// Expires is when the credential stops opening allocations. Those it has
	// opened live on.
	Expires time.Time
}

// Mint makes the username and password of the TURN REST API: anyone who knows
// the secret (another app, `duet credentials`) can mint, the relay need not be
// asked. The member names whose allocations these are, for quotas and logs.
func Mint(secret config.Secret, member string, expires time.Time) (username, password string) {
	username = strconv.FormatInt(expires.Unix(), 10) + ":" + member
	var h hasher
	return username, string(h.mintedPassword(nil, macKey(secret.Reveal()), []byte(username)))
}

// maxStamp is the length of the longest expiry, a 64-bit number.
const maxStamp = 19

// parseMinted takes a time-limited username apart: "expiry:member", or the bare
// expiry that coturn's users also write. It says nothing about the password.
func parseMinted(username []byte) (member []byte, expires time.Time, ok bool) {
	stamp, member, _ := bytes.Cut(username, []byte{':'})
	if len(stamp) == 0 || len(stamp) > maxStamp || stamp[0] < '0' || stamp[0] > '9' {
		return nil, time.Time{}, false
	}
	seconds, err := strconv.ParseInt(string(stamp), 10, 64)
	if err != nil || seconds <= 0 {
		return nil, time.Time{}, false
	}
	if len(member) == 0 {
		member = username
	}
	return member, time.Unix(seconds, 0), true
}

// account is a static user.
type account struct {
	name string
	// md5 and sha256 are the keys; sha256 is nil where only the other one is known.
	md5, sha256 []byte
}

// newAccount takes a password or, as coturn does, "0x" and the 32 hex digits of
// MD5(username ":" realm ":" password). Any other password may begin with 0x.
func newAccount(name, realm, password string) *account {
	if digits, ok := strings.CutPrefix(password, "0x"); ok {
		if key, err := hex.DecodeString(digits); err == nil && len(key) == md5.Size {
			return &account{name: name, md5: key}
		}
	}
	var h hasher
	return &account{
		name:   name,
		md5:    h.longTermKey(nil, algorithmMD5, []byte(name), realm, []byte(password)),
		sha256: h.longTermKey(nil, algorithmSHA256, []byte(name), realm, []byte(password)),
	}
}
