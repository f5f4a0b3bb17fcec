package webhook

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/duetcall/duet/config"
)

// The headers of Standard Webhooks 1.0.0.
const (
	headerID        = "Webhook-Id"
	headerTimestamp = "Webhook-Timestamp" // seconds since 1970
	headerSignature = "Webhook-Signature"
)

// sign puts into a request's header what its receiver verifies it by: a MAC of the id, the time and the body,
// so that none of them can be another's.
func sign(header http.Header, secret config.Secret, id string, at time.Time, body []byte) {
	timestamp := strconv.FormatInt(at.Unix(), 10)
	header.Set(headerID, id)
	header.Set(headerTimestamp, timestamp)
	header.Set(headerSignature, "v1,"+signature(secret, id, timestamp, body))
}

func signature(secret config.Secret, id, timestamp string, body []byte) string {
	mac := hmac.New(sha256.New, key(secret))
	mac.Write([]byte(id + "." + timestamp + "."))
	mac.Write(body)
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// key is what a secret stands for: its own bytes, or those that follow "whsec_" in base64, as
// Standard Webhooks writes secrets.
func key(secret config.Secret) []byte {
	text := secret.Reveal()
	if encoded, ok := strings.CutPrefix(text, config.WebhookSecretPrefix); ok {
		if decoded, err := base64.StdEncoding.DecodeString(encoded); err == nil {
			return decoded
		}
	}
	return []byte(text)
}

// newID names a delivery, an event or a process: 128 random bits behind a prefix.
func newID(prefix string) string {
	b := make([]byte, 16)
	rand.Read(b)
	return prefix + base64.RawURLEncoding.EncodeToString(b)
}
