package jointoken

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/duetcall/duet/config"
)

const (
	// MaxBytes is the longest token that is looked at.
	MaxBytes = 8 << 10
	// leeway is how far the clock of who signs may be from ours.
	leeway = 30 * time.Second
	// maxText bounds a claim that is passed on, in bytes.
	maxText = 256
)

// AnyRoom is the "room" of a token for every room. One without the claim is such, too.
const AnyRoom = "*"

// Reason is what is wrong with a token. It is for the log, and holds nothing of the token.
type Reason string

// What can be wrong.
const (
	TooLong    Reason = "too long"
	Malformed  Reason = "not a JSON Web Token"
	Algorithm  Reason = "signed with an algorithm that no key is configured for"
	Critical   Reason = `a header parameter that must be understood ("crit")`
	UnknownKey Reason = `no key has its "kid"`
	Signature  Reason = "the signature does not fit"
	Missing    Reason = `it lacks "exp", or "iss" or "aud" where the configuration names one`
	Expired    Reason = "expired"
	NotYet     Reason = `not valid yet ("nbf")`
	Issuer     Reason = `another "iss" than issuer`
	Audience   Reason = `another "aud" than audience`
	Claim      Reason = `"room", "name", "role" or "sub" is not what it can be`
	OtherRoom  Reason = "for another room"
)

// Error is why a token is not good.
type Error struct{ Reason Reason }

func (e *Error) Error() string { return "token: " + string(e.Reason) }

// Claims are what a token says of its bearer.
type Claims struct {
	Room    string // the only one that it opens. Empty: any
	Name    string // what others call the bearer. Empty: what it calls itself
	Role    string // "host", "guest" or "", as if there were no token
	Subject string // who the bearer is for those who signed
	Expires time.Time
}

// wire is how they are written.
type wire struct {
	Room string `json:"room,omitempty"`
	Name string `json:"name,omitempty"`
	Role string `json:"role,omitempty"`
	jwt.RegisteredClaims
}

// Verifier knows the keys. It is safe for concurrent use.
type Verifier struct {
	secrets [][]byte                     // of HS256, the one to mint with first
	keys    map[string]ed25519.PublicKey // of EdDSA, by kid
	parser  *jwt.Parser
	cfg     config.Auth
}

// New reads the keys that cfg names. The error is for whoever configures, and holds no key.
func New(cfg config.Auth) (*Verifier, error) { return newVerifier(cfg, time.Now) }

func newVerifier(cfg config.Auth, now func() time.Time) (*Verifier, error) {
	v := &Verifier{cfg: cfg}
	for _, secret := range []config.Secret{cfg.TokenSecret, cfg.TokenSecretPrevious} {
		if secret != "" {
			v.secrets = append(v.secrets, []byte(secret.Reveal()))
		}
	}
	var methods []string
	if len(v.secrets) > 0 {
		methods = append(methods, jwt.SigningMethodHS256.Alg())
	}
	if cfg.JWKSFile != "" {
		var err error
		if v.keys, err = readKeys(cfg.JWKSFile.String()); err != nil {
			return nil, fmt.Errorf("[signaling.auth] jwks_file %q: %w", cfg.JWKSFile, err)
		}
		methods = append(methods, jwt.SigningMethodEdDSA.Alg())
	}
	if methods == nil {
		return v, nil // without a parser: nothing is good
	}
	options := []jwt.ParserOption{
		jwt.WithValidMethods(methods), jwt.WithStrictDecoding(),
		jwt.WithExpirationRequired(), jwt.WithLeeway(leeway), jwt.WithTimeFunc(now),
		jwt.WithIssuer(cfg.Issuer), // which holds for any if it is empty
	}
	if cfg.Audience != "" {
		options = append(options, jwt.WithAudience(cfg.Audience))
	}
	v.parser = jwt.NewParser(options...)
	return v, nil
}

// Keys reports whether there is any key: without one, no token is good.
func (v *Verifier) Keys() bool { return v.parser != nil }

// Verify returns what a token says, if it is good for the room. The error is an *Error.
func (v *Verifier) Verify(token, room string) (Claims, error) {
	switch {
	case len(token) > MaxBytes:
		return Claims{}, &Error{TooLong}
	case v.parser == nil:
		return Claims{}, &Error{Algorithm}
	}
	var said wire
	if _, err := v.parser.ParseWithClaims(token, &said, v.keyOf); err != nil {
		return Claims{}, &Error{reasonOf(err)}
	}
	for _, text := range []string{said.Room, said.Name, said.Subject} {
		if len(text) > maxText {
			return Claims{}, &Error{Claim}
		}
	}
	switch {
	case said.Role != "" && said.Role != "host" && said.Role != "guest":
		return Claims{}, &Error{Claim}
	case said.Room == AnyRoom:
		said.Room = ""
	case said.Room != "" && said.Room != room:
		return Claims{}, &Error{OtherRoom}
	}
	return Claims{Room: said.Room, Name: said.Name, Role: said.Role, Subject: said.Subject, Expires: said.ExpiresAt.Time}, nil
}

// keyOf returns the keys that may have signed a token: those of its algorithm alone, which
// is one that there are keys for.
func (v *Verifier) keyOf(token *jwt.Token) (any, error) {
	if _, critical := token.Header["crit"]; critical {
		return nil, &Error{Critical}
	}
	if token.Method == jwt.SigningMethodHS256 {
		set := jwt.VerificationKeySet{}
		for _, secret := range v.secrets {
			set.Keys = append(set.Keys, secret)
		}
		return set, nil
	}
	kid, _ := token.Header["kid"].(string)
	key, known := v.keys[kid]
	if !known {
		return nil, &Error{UnknownKey}
	}
	return key, nil
}

// reasonOf finds the one reason in an error of the parser. That a token has expired counts
// only if nothing else is wrong with it: that much alone is told to strangers.
func reasonOf(err error) Reason {
	if ours, ok := errors.AsType[*Error](err); ok {
		return ours.Reason
	}
	for _, known := range []struct {
		err    error
		reason Reason
	}{
		{jwt.ErrTokenMalformed, Malformed},
		{jwt.ErrTokenUnverifiable, Algorithm},
		{jwt.ErrHashUnavailable, Algorithm},
		{errAlgorithm(err), Algorithm},
		{jwt.ErrTokenSignatureInvalid, Signature},
		{jwt.ErrTokenInvalidIssuer, Issuer},
		{jwt.ErrTokenInvalidAudience, Audience},
		{jwt.ErrTokenNotValidYet, NotYet},
		{jwt.ErrTokenRequiredClaimMissing, Missing},
		{jwt.ErrTokenExpired, Expired},
	} {
		if known.err != nil && errors.Is(err, known.err) {
			return known.reason
		}
	}
	return Malformed
}

// errAlgorithm returns err if no key was tried: the parser calls an algorithm that is not
// allowed a bad signature, too.
func errAlgorithm(err error) error {
	tried := errors.Is(err, jwt.ErrSignatureInvalid) || errors.Is(err, jwt.ErrEd25519Verification)
	if errors.Is(err, jwt.ErrTokenSignatureInvalid) && !tried {
		return err
	}
	return nil
}
