package relay

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
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
	return username, mintedPassword(secret, username)
}

func mintedPassword(secret config.Secret, username string) string {
	mac := hmac.New(sha1.New, []byte(secret.Reveal()))
	mac.Write([]byte(username))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// parseMinted takes a time-limited username apart: "expiry:member", or the bare
// expiry that coturn's users also write. It says nothing about the password.
func parseMinted(username string) (member string, expires time.Time, ok bool) {
	stamp, member, _ := strings.Cut(username, ":")
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || seconds <= 0 || stamp[0] == '+' {
		return "", time.Time{}, false
	}
	if member == "" {
		member = username
	}
	return member, time.Unix(seconds, 0), true
}
