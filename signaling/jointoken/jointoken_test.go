package jointoken

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/duetcall/duet/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	secret   = "north-by-northwest-and-32-bytes-long"
	previous = "the-lady-vanishes-and-is-32-bytes-long"
)

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// edKey is a key pair that is the same in every run.
func edKey(seed byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed([]byte(strings.Repeat(string(rune(seed)), ed25519.SeedSize)))
}

func public(key ed25519.PrivateKey) []byte { return key.Public().(ed25519.PublicKey) }

// jwks writes a JWK set of these keys and returns its path.
func jwks(t testing.TB, keys map[string]ed25519.PrivateKey) config.Path {
	t.Helper()
	var set struct {
		Keys []map[string]string `json:"keys"`
	}
	for kid, key := range keys {
		set.Keys = append(set.Keys, map[string]string{"kty": "OKP", "crv": "Ed25519", "kid": kid, "alg": "EdDSA", "use": "sig", "x": b64(public(key))})
	}
	text, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return file(t, text)
}

func file(t testing.TB, text []byte) config.Path {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys.json")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return config.Path(path)
}

func verifier(t testing.TB, cfg config.Auth) *Verifier {
	t.Helper()
	v, err := newVerifier(cfg, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// signed writes a token by hand, so that the test does not lean on what it tests.
func signed(header, claims string, sign func(text []byte) []byte) string {
	text := b64([]byte(header)) + "." + b64([]byte(claims))
	return text + "." + b64(sign([]byte(text)))
}

func hs256(key string) func([]byte) []byte {
	return func(text []byte) []byte {
		mac := hmac.New(sha256.New, []byte(key))
		mac.Write(text)
		return mac.Sum(nil)
	}
}

func eddsa(key ed25519.PrivateKey) func([]byte) []byte {
	return func(text []byte) []byte { return ed25519.Sign(key, text) }
}

const (
	hsHeader = `{"alg":"HS256","typ":"JWT"}`
	edHeader = `{"alg":"EdDSA","kid":"a"}`
	good     = `{"room":"tea","name":"Ann","role":"host","sub":"u1","exp":1795438800}` // an hour from now
)

func TestATokenSaysWhoItsBearerIs(t *testing.T) {
	v := verifier(t, config.Auth{TokenSecret: secret, TokenSecretPrevious: previous, JWKSFile: jwks(t, map[string]ed25519.PrivateKey{"a": edKey('a'), "b": edKey('b')})})
	want := Claims{Room: "tea", Name: "Ann", Role: "host", Subject: "u1", Expires: now.Add(time.Hour)}
	for name, token := range map[string]string{
		"HS256":             signed(hsHeader, good, hs256(secret)),
		"HS256, previous":   signed(hsHeader, good, hs256(previous)),
		"EdDSA":             signed(edHeader, good, eddsa(edKey('a'))),
		"EdDSA, second key": signed(`{"alg":"EdDSA","kid":"b"}`, good, eddsa(edKey('b'))),
	} {
		got, err := v.Verify(token, "tea")
		if got.Expires = got.Expires.UTC(); err != nil || got != want {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
	for _, claims := range []string{`{"exp":1795438800}`, `{"room":"*","exp":1795438800}`} {
		if got, err := v.Verify(signed(hsHeader, claims, hs256(secret)), "any"); err != nil || got.Room != "" || got.Role != "" {
			t.Errorf("%s: got %+v, %v", claims, got, err)
		}
	}
}

func TestATokenIsRefusedAsAWholeForAnythingThatIsNotAsItMustBe(t *testing.T) {
	key, other := edKey('a'), edKey('x')
	both := config.Auth{TokenSecret: secret, TokenSecretPrevious: previous, JWKSFile: jwks(t, map[string]ed25519.PrivateKey{"a": key}), Issuer: "app", Audience: "duet"}
	plain, keysOnly, secretOnly := both, both, both
	plain.Issuer, plain.Audience = "", ""
	keysOnly.TokenSecret, keysOnly.TokenSecretPrevious, keysOnly.Issuer, keysOnly.Audience = "", "", "", ""
	secretOnly.JWKSFile, secretOnly.Issuer, secretOnly.Audience = "", "", ""
	ok := signed(hsHeader, good, hs256(secret))
	with := func(claims string) string { return signed(hsHeader, claims, hs256(secret)) }
	sha512Of := func(text []byte) []byte {
		mac := hmac.New(sha512.New, []byte(secret))
		mac.Write(text)
		return mac.Sum(nil)
	}
	none := func([]byte) []byte { return nil }
	for _, row := range []struct {
		name  string
		cfg   config.Auth
		token string
		want  Reason
	}{
		{"empty", plain, "", Malformed},
		{"words", plain, "let me in", Malformed},
		{"two parts", plain, ok[:strings.LastIndex(ok, ".")], Malformed},
		{"four parts", plain, ok + ".x", Malformed},
		{"padded", plain, ok + "=", Malformed},
		{"bits behind the signature", plain, ok[:len(ok)-1] + string(ok[len(ok)-1]+1), Malformed},
		{"claims are null", plain, with("null"), Missing},
		{"claims are a list", plain, with("[]"), Malformed},
		{"room is a number", plain, with(`{"room":1,"exp":1795438800}`), Malformed},
		{"too long", plain, with(`{"x":"` + strings.Repeat("x", MaxBytes) + `","exp":1795438800}`), TooLong},

		{"none", plain, signed(`{"alg":"none"}`, good, none), Algorithm},
		{"None", plain, signed(`{"alg":"None"}`, good, none), Algorithm},
		{"no algorithm", plain, signed(`{}`, good, hs256(secret)), Algorithm},
		{"another hash with the secret", plain, signed(`{"alg":"HS512"}`, good, sha512Of), Algorithm},
		{"RS256", plain, signed(`{"alg":"RS256","kid":"a"}`, good, hs256(secret)), Algorithm},
		{"HS256 where only keys are configured", keysOnly, ok, Algorithm},
		{"HS256 with the public key as the secret", keysOnly, signed(hsHeader, good, hs256(string(public(key)))), Algorithm},
		{"the same beside a secret", plain, signed(`{"alg":"HS256","kid":"a"}`, good, hs256(string(public(key)))), Signature},
		{"the same in base64url", plain, signed(`{"alg":"HS256","kid":"a"}`, good, hs256(b64(public(key)))), Signature},
		{"HS256 with an empty secret", plain, signed(hsHeader, good, hs256("")), Signature},
		{"EdDSA where only a secret is configured", secretOnly, signed(edHeader, good, eddsa(key)), Algorithm},
		{"nothing configured", config.Auth{}, ok, Algorithm},

		{"critical", plain, signed(`{"alg":"HS256","crit":["b64"],"b64":false}`, good, hs256(secret)), Critical},
		{"critical, empty", plain, signed(`{"alg":"HS256","crit":[]}`, good, hs256(secret)), Critical},
		{"kid unknown", plain, signed(`{"alg":"EdDSA","kid":"z"}`, good, eddsa(key)), UnknownKey},
		{"no kid", plain, signed(`{"alg":"EdDSA"}`, good, eddsa(key)), UnknownKey},
		{"kid is a number", plain, signed(`{"alg":"EdDSA","kid":1}`, good, eddsa(key)), UnknownKey},
		{"key brought along", plain, signed(`{"alg":"EdDSA","jwk":{"kty":"OKP","crv":"Ed25519","x":"`+b64(public(other))+`"}}`, good, eddsa(other)), UnknownKey},
		{"another's EdDSA", plain, signed(edHeader, good, eddsa(other)), Signature},
		{"another's HS256", plain, signed(hsHeader, good, hs256(secret+"x")), Signature},
		{"claims changed", plain, strings.Replace(ok, b64([]byte(good)), b64([]byte(strings.Replace(good, "Ann", "Bob", 1))), 1), Signature},
		{"no signature", plain, ok[:strings.LastIndex(ok, ".")+1], Signature},

		{"no exp", plain, with(`{"room":"tea"}`), Missing},
		{"expired", plain, with(`{"exp":1795435169}`), Expired},
		{"expired long ago and forged", plain, signed(hsHeader, `{"exp":1}`, hs256("x")), Signature},
		{"expired and not for us", both, with(`{"exp":1,"iss":"app","aud":"x"}`), Audience},
		{"not yet", plain, with(`{"exp":1795438800,"nbf":1795435232}`), NotYet},
		{"no issuer", both, with(`{"exp":1795438800,"aud":"duet"}`), Missing},
		{"another issuer", both, with(`{"exp":1795438800,"iss":"App","aud":"duet"}`), Issuer},
		{"another audience", both, with(`{"exp":1795438800,"iss":"app","aud":["a","b"]}`), Audience},
		{"role", plain, with(`{"exp":1795438800,"role":"Host"}`), Claim},
		{"long name", plain, with(`{"exp":1795438800,"name":"` + strings.Repeat("x", maxText+1) + `"}`), Claim},
		{"another room", plain, with(`{"exp":1795438800,"room":"coffee"}`), OtherRoom},
		{"part of the room", plain, with(`{"exp":1795438800,"room":"te"}`), OtherRoom},
		{"a pattern", plain, with(`{"exp":1795438800,"room":"t*"}`), OtherRoom},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := verifier(t, row.cfg).Verify(row.token, "tea")
			refused, ours := errors.AsType[*Error](err)
			if !ours || refused.Reason != row.want {
				t.Errorf("got %v, want %s", err, row.want)
			}
		})
	}
}

func TestClocksMayBeHalfAMinuteApart(t *testing.T) {
	v := verifier(t, config.Auth{TokenSecret: secret})
	for claims, want := range map[string]bool{
		`{"exp":1795435171}`:                  true,
		`{"exp":1795435170}`:                  false,
		`{"exp":1795438800,"nbf":1795435230}`: true,
		`{"exp":1795438800,"nbf":1795435231}`: false,
	} {
		if _, err := v.Verify(signed(hsHeader, claims, hs256(secret)), "tea"); (err == nil) != want {
			t.Errorf("%s: %v", claims, err)
		}
	}
}

func TestIssuerAndAudienceAreCheckedWhenConfigured(t *testing.T) {
	cfg := config.Auth{TokenSecret: secret, Issuer: "app", Audience: "duet"}
	for _, aud := range []string{`"duet"`, `["other","duet"]`} {
		token := signed(hsHeader, `{"exp":1795438800,"iss":"app","aud":`+aud+`}`, hs256(secret))
		if _, err := verifier(t, cfg).Verify(token, "tea"); err != nil {
			t.Errorf("%s: %v", aud, err)
		}
	}
}

func TestWhatIsMintedIsGoodForItsRoomUntilItExpires(t *testing.T) {
	cfg := config.Auth{TokenSecret: secret, TokenSecretPrevious: previous, Issuer: "app", Audience: "duet"}
	claims := Claims{Room: "茶", Name: "Ann", Role: "guest", Subject: "u1", Expires: now.Add(time.Hour)}
	token, err := Mint(cfg, claims, now)
	if err != nil {
		t.Fatal(err)
	}
	clock := now
	v, err := newVerifier(cfg, func() time.Time { return clock })
	if err != nil {
		t.Fatal(err)
	}
	got, err := v.Verify(token, "茶")
	if got.Expires = got.Expires.UTC(); err != nil || got != claims {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := v.Verify(token, "tea"); err == nil {
		t.Error("it opens another room")
	}
	clock = claims.Expires.Add(leeway)
	if _, err := v.Verify(token, "茶"); err == nil {
		t.Error("it is good when it has expired")
	}
	if _, err := Mint(config.Auth{TokenSecretPrevious: previous}, claims, now); !errors.Is(err, ErrNoSecret) {
		t.Errorf("got %v", err)
	}
}

func TestABadKeyFileIsRefusedInWords(t *testing.T) {
	x := b64(public(edKey('a')))
	key := `{"kty":"OKP","crv":"Ed25519","kid":"a","x":"` + x + `"}`
	for _, row := range []struct{ name, text, want string }{
		{"not JSON", "keys", `is not a JWK set, {"keys": [...]} (RFC 7517)`},
		{"one key", key, `is not a JWK set, {"keys": [...]} (RFC 7517)`},
		{"no keys", `{"keys":[]}`, `has no Ed25519 key to verify with ("kty": "OKP", "crv": "Ed25519")`},
		{"other keys", `{"keys":[{"kty":"RSA","kid":"a","n":"x","e":"AQAB"},{"kty":"OKP","crv":"Ed448","kid":"b","x":"x"}]}`, `has no Ed25519 key to verify with ("kty": "OKP", "crv": "Ed25519")`},
		{"for encryption", `{"keys":[` + strings.Replace(key, `"kty"`, `"use":"enc","kty"`, 1) + `]}`, `has no Ed25519 key to verify with ("kty": "OKP", "crv": "Ed25519")`},
		{"only signs", `{"keys":[` + strings.Replace(key, `"kty"`, `"key_ops":["sign"],"kty"`, 1) + `]}`, `has no Ed25519 key to verify with ("kty": "OKP", "crv": "Ed25519")`},
		{"for another algorithm", `{"keys":[` + strings.Replace(key, `"kty"`, `"alg":"HS256","kty"`, 1) + `]}`, `has no Ed25519 key to verify with ("kty": "OKP", "crv": "Ed25519")`},
		{"private", `{"keys":[` + key + `,` + strings.Replace(key, `"x"`, `"d":"x","x"`, 1) + `]}`, `key 2 is private ("d") or secret ("k"): whoever can read it can make tokens; put the public key here`},
		{"symmetric", `{"keys":[` + key + `,{"kty":"oct","kid":"s","k":"` + x + `"}]}`, `key 2 is private ("d") or secret ("k"): whoever can read it can make tokens; put the public key here`},
		{"no kid", `{"keys":[` + strings.Replace(key, `"kid":"a",`, "", 1) + `]}`, `key 1 needs a "kid" of 1 to 256 bytes, by which tokens name it`},
		{"kid twice", `{"keys":[` + key + `,` + key + `]}`, `key 2 has the "kid" of an earlier one`},
		{"short key", `{"keys":[` + strings.Replace(key, x, x[:40], 1) + `]}`, `key 1: "x" is not an Ed25519 public key, 32 bytes in base64url`},
		{"padded key", `{"keys":[` + strings.Replace(key, x, x+"=", 1) + `]}`, `key 1: "x" is not an Ed25519 public key, 32 bytes in base64url`},
		{"too many", `{"keys":[` + strings.Repeat(`{"kty":"RSA"},`, maxKeys) + key + `]}`, `has 65 keys, more than 64`},
		{"too large", strings.Repeat(" ", maxKeyFile+1), `is larger than 256 KiB`},
	} {
		t.Run(row.name, func(t *testing.T) {
			path := file(t, []byte(row.text))
			want := `[signaling.auth] jwks_file "` + path.String() + `": ` + row.want
			if _, err := New(config.Auth{JWKSFile: path}); err == nil || err.Error() != want {
				t.Errorf("got\n%v\nwant\n%s", err, want)
			}
		})
	}
	if _, err := New(config.Auth{JWKSFile: "/nowhere/keys.json"}); err == nil || err.Error() != `[signaling.auth] jwks_file "/nowhere/keys.json": no such file or directory` {
		t.Errorf("got %v", err)
	}
}

// FuzzVerify holds the parser against the definition: a token that is taken has the MAC of
// what it says, and no error repeats what came in.
func FuzzVerify(f *testing.F) {
	v := verifier(f, config.Auth{TokenSecret: secret, JWKSFile: jwks(f, map[string]ed25519.PrivateKey{"a": edKey('a')})})
	for _, header := range []string{hsHeader, edHeader, `{"alg":"none"}`, `{"alg":"HS256","crit":["x"]}`, `null`, `[]`} {
		for _, claims := range []string{good, `null`, `{"exp":1e300}`, `{"exp":-1}`, `{"exp":1795438800,"aud":[1]}`} {
			f.Add([]byte(header), []byte(claims), []byte("x"), true)
			f.Add([]byte(header), []byte(claims), []byte("x"), false)
		}
	}
	f.Fuzz(func(t *testing.T, header, claims, signature []byte, sign bool) {
		sum := func(text []byte) []byte {
			if sign {
				return hs256(secret)(text)
			}
			return signature
		}
		token := signed(string(header), string(claims), sum)
		said, err := v.Verify(token, "tea")
		if err != nil {
			if len(token) > 12 && strings.Contains(err.Error(), token[:12]) {
				t.Errorf("the error repeats the token: %v", err)
			}
			return
		}
		text, mac, _ := cutLast(token)
		if mac != b64(hs256(secret)([]byte(text))) {
			t.Fatalf("taken without the secret: %s", token)
		}
		if said.Room != "" && said.Room != "tea" || said.Expires.IsZero() || len(said.Name) > maxText {
			t.Errorf("taken: %+v", said)
		}
	})
}

func cutLast(token string) (before, after string, ok bool) {
	i := strings.LastIndex(token, ".")
	return token[:max(i, 0)], token[i+1:], i >= 0
}
