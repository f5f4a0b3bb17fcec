package jointoken

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
)

const (
	maxKeyFile = 256 << 10
	maxKeys    = 64
	maxKid     = 256 // bytes
)

// readKeys reads a JWK set from a file.
func readKeys(path string) (map[string]ed25519.PublicKey, error) {
	f, err := os.Open(path)
	if err != nil {
		if named, ok := errors.AsType[*fs.PathError](err); ok {
			err = named.Err // the caller names the path
		}
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read from
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	switch {
	case err != nil:
		return nil, err
	case len(text) > maxKeyFile:
		return nil, fmt.Errorf("is larger than %d KiB", maxKeyFile>>10)
	}
	return parseKeys(text)
}

// jwk is what we look at of a JSON Web Key (RFC 7517 section 4, RFC 8037 section 2).
type jwk struct {
	Type    string          `json:"kty"`
	Curve   string          `json:"crv"`
	ID      string          `json:"kid"`
	Use     string          `json:"use"`
	Ops     []string        `json:"key_ops"`
	Alg     string          `json:"alg"`
	X       string          `json:"x"`
	Private json.RawMessage `json:"d"`
	Secret  json.RawMessage `json:"k"`
}

// parseKeys reads the Ed25519 keys of a JWK set by their "kid". Keys of other kinds and
// for other uses are passed over (RFC 7517 section 5); a set without one of ours, and one
// with a key that nobody else should have, is an error.
func parseKeys(text []byte) (map[string]ed25519.PublicKey, error) {
	var set struct {
		Keys []jwk `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil || set.Keys == nil {
		return nil, errors.New(`is not a JWK set, {"keys": [...]} (RFC 7517)`)
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("has %d keys, more than %d", len(set.Keys), maxKeys)
	}
	keys := make(map[string]ed25519.PublicKey)
	for i, k := range set.Keys {
		at := fmt.Sprintf("key %d", i+1)
		if k.Private != nil || k.Secret != nil {
			return nil, fmt.Errorf(`%s is private ("d") or secret ("k"): whoever can read it can make tokens; put the public key here`, at)
		}
		if k.Type != "OKP" || k.Curve != "Ed25519" || !k.verifies() {
			continue
		}
		x, err := base64.RawURLEncoding.Strict().DecodeString(k.X)
		switch {
		case err != nil || len(x) != ed25519.PublicKeySize:
			return nil, fmt.Errorf(`%s: "x" is not an Ed25519 public key, %d bytes in base64url`, at, ed25519.PublicKeySize)
		case k.ID == "" || len(k.ID) > maxKid:
			return nil, fmt.Errorf(`%s needs a "kid" of 1 to %d bytes, by which tokens name it`, at, maxKid)
		case keys[k.ID] != nil:
			return nil, fmt.Errorf(`%s has the "kid" of an earlier one`, at)
		}
		keys[k.ID] = x
	}
	if len(keys) == 0 {
		return nil, errors.New(`has no Ed25519 key to verify with ("kty": "OKP", "crv": "Ed25519")`)
	}
	return keys, nil
}

// verifies reports whether the key is meant for signatures with EdDSA, which RFC 9864 names Ed25519
// as well.
func (k jwk) verifies() bool {
	return (k.Use == "" || k.Use == "sig") && (k.Ops == nil || slices.Contains(k.Ops, "verify")) &&
		(k.Alg == "" || k.Alg == "EdDSA" || k.Alg == "Ed25519")
}
