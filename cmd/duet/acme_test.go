package main

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mholt/acmez/v3/acme"
	"github.com/pion/turn/v4"

	"github.com/duetcall/duet/config"
	"github.com/duetcall/duet/relay"
	"github.com/duetcall/duet/signaling"
)

func loopback() netip.Addr { return netip.AddrFrom4([4]byte{127, 0, 0, 1}) }

// portNumber returns the port of "host:port".
func portNumber(t *testing.T, address string) int {
	t.Helper()
	port, err := strconv.Atoi(portOf(address))
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// Each challenge alone is enough: pebble finds nobody at the port of the other.
func TestCertificatesComeFromTheCAAndAreKept(t *testing.T) {
	for _, challenge := range []string{acme.ChallengeTypeTLSALPN01, acme.ChallengeTypeHTTP01} {
		t.Run(challenge, func(t *testing.T) {
			cfg, page, secure, turnPort := acmeConfig(t)
			httpPort, tlsPort := portNumber(t, page), portNumber(t, "127.0.0.1:"+freePort(t))
			if challenge == acme.ChallengeTypeTLSALPN01 {
				httpPort, tlsPort = tlsPort, portNumber(t, secure)
			}
			ca := startPebble(t, httpPort, tlsPort)
			cfg.TLS.ACMEDirectory = ca.directory

			duet := trusting(t, cfg, ca.trust)
			duet.log.await(t, 2, `"msg":"certificate obtained"`)
			first := peerCertificate(t, ca, secure, "call.duet.test")
			peerCertificate(t, ca, secure, "turn.duet.test")
			if got := unverified(t, secure); !got.Equal(first) {
				t.Errorf("a client that names nobody gets the certificate of %v", got.DNSNames)
			}
			client := &tls.Config{RootCAs: ca.root, ServerName: "call.duet.test"}
			eventuallyGet(t, "https://"+secure+"/trickle", client)
			for _, at := range []string{secure, turnPort} {
				relaysOverTLS(t, cfg.Turn, at, client)
			}
			refusesOtherNames(t, ca, secure, turnPort)
			duet.stop(t)
			areForOurEyesOnly(t, cfg.TLS.ACMECache)

			again := trusting(t, cfg, ca.trust)
			again.log.await(t, 2, `"msg":"certificate found"`)
			eventuallyGet(t, "https://"+secure+"/trickle", client)
			if second := peerCertificate(t, ca, secure, "call.duet.test"); !second.Equal(first) {
				t.Error("the second start has another certificate")
			}
			again.stop(t)
			if again.log.count("asking for a certificate") > 0 || ca.log.count("POST /sign-me-up") == 0 || ca.log.count("Issued certificate") != 2 {
				t.Errorf("the CA was asked again:\n%s\n%s", again.log, ca)
			}
		})
	}
}

// peerCertificate connects and returns the certificate, verified to be the CA's for the name.
func peerCertificate(t *testing.T, ca *pebble, at, name string) *x509.Certificate {
	t.Helper()
	conn, err := tls.Dial("tcp", at, &tls.Config{RootCAs: ca.root, ServerName: name})
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0]
}

// unverified connects as clients do that know an address alone.
func unverified(t *testing.T, at string) *x509.Certificate {
	t.Helper()
	conn, err := tls.Dial("tcp", at, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0]
}

func relaysOverTLS(t *testing.T, cfg config.Turn, at string, client *tls.Config) {
	t.Helper()
	conn, err := tls.Dial("tcp", at, client)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	user, password := relay.Mint(cfg.StaticAuthSecret, "ann", time.Now().Add(time.Hour))
	opensAllocation(t, cfg, signaling.ICEServer{Username: user, Credential: password}, at, turn.NewSTUNConn(conn))
}

// refusesOtherNames checks that neither is a handshake for another name answered nor the
// CA asked for it.
func refusesOtherNames(t *testing.T, ca *pebble, ports ...string) {
	t.Helper()
	asked := ca.log.count("POST /order-plz")
	for _, at := range ports {
		for _, alpn := range [][]string{nil, {"acme-tls/1"}} {
			conn, err := tls.Dial("tcp", at, &tls.Config{ServerName: "other.duet.test", InsecureSkipVerify: true, NextProtos: alpn})
			if err == nil {
				_ = conn.Close()
			}
			if err == nil || !strings.Contains(err.Error(), "remote error: tls: ") || alpn == nil && !strings.Contains(err.Error(), "unrecognized name") {
				t.Errorf("a name that is not ours, ALPN %v: %v", alpn, err)
			}
		}
	}
	if now := ca.log.count("POST /order-plz"); now != asked {
		t.Errorf("the CA was asked %d times", now-asked)
	}
}

func areForOurEyesOnly(t *testing.T, dir string) {
	t.Helper()
	files := 0
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v", path, info.Mode())
		}
		if info.Mode().IsRegular() {
			files++
		}
		return nil
	})
	if err != nil || files != 3 {
		t.Errorf("%d files, %v, want two certificates and the key of the account", files, err)
	}
}

// Nothing but TLS waits for the CA, and the log tells what the CA found.
func TestWithoutTheCAEverythingElseIsServed(t *testing.T) {
	cfg, page, secure, _ := acmeConfig(t)
	closed := portNumber(t, "127.0.0.1:"+freePort(t))
	ca := startPebble(t, closed, closed)
	cfg.TLS.ACMEDirectory = ca.directory
	duet := trusting(t, cfg, ca.trust)
	refused := duet.log.await(t, 1, `"msg":"no certificate"`)
	for _, want := range []string{`"domain":"call.duet.test"`, "onnect", `"next_try":"`, `"hint":"the name must lead to this server`} {
		if !strings.Contains(refused, want) {
			t.Errorf("the log lacks %s:\n%s", want, refused)
		}
	}
	eventuallyGet(t, "http://"+page+"/trickle", nil)
	if conn, err := tls.Dial("tcp", secure, &tls.Config{ServerName: "call.duet.test", InsecureSkipVerify: true}); err == nil {
		_ = conn.Close()
		t.Error("there is a certificate")
	}
	ws, joined := joinRoom(t, "ws://"+page, "tea", nil)
	defer ws.Close()
	given := joined.ICE.Servers[0]
	for _, url := range given.URLs {
		if strings.HasPrefix(url, "turns:") {
			t.Errorf("members are told of %s", url)
		}
	}
	socket, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	opensAllocation(t, cfg.Turn, given, strings.TrimSuffix(strings.TrimPrefix(given.URLs[0], "turn:"), "?transport=udp"), socket)
	duet.log.await(t, 1, `"domain":"turn.duet.test","error"`)
	_ = ws.Close()
	duet.stop(t)
}

// A certificate is good until a third of its life is left; then it is replaced, and it is
// in use until it is.
func TestAnOldCertificateIsReplaced(t *testing.T) {
	cfg, page, secure, _ := acmeConfig(t)
	cfg.TLS.ACMEDomains = []string{"call.duet.test"}
	ca := startPebble(t, portNumber(t, page), portNumber(t, secure))
	cfg.TLS.ACMEDirectory = "https://localhost:1/dir" // nobody is there
	old := keepOld(t, cfg.TLS)
	duet := trusting(t, cfg, ca.trust)
	failed := duet.log.await(t, 1, `"msg":"no certificate"`)
	if !strings.Contains(failed, `"expires":"`+old.NotAfter.Format("2006-01-02T15:04")) {
		t.Errorf("the log does not tell when the old certificate expires: %s", failed)
	}
	if got := unverified(t, secure); !got.Equal(old) {
		t.Error("without the CA, the old certificate is not in use")
	}
	duet.stop(t)

	cfg.TLS.ACMEDirectory = ca.directory
	keepOld(t, cfg.TLS)
	duet = trusting(t, cfg, ca.trust)
	duet.log.await(t, 1, `"msg":"certificate found"`)
	duet.log.await(t, 1, `"msg":"certificate obtained"`)
	peerCertificate(t, ca, secure, "call.duet.test")
	duet.stop(t)
}

// keepOld puts a certificate into the cache of which less than a third is left.
func keepOld(t *testing.T, cfg config.TLS) *x509.Certificate {
	t.Helper()
	store, err := openACMEStore(cfg)
	if err != nil {
		t.Fatal(err)
	}
	pair := pairIn(t.TempDir())
	certifyUntil(t, pair, "call.duet.test", time.Now().Add(20*time.Minute)) // of 80
	key, err := os.ReadFile(pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := os.ReadFile(pair.Cert)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.keep("call.duet.test", append(key, cert...)); err != nil {
		t.Fatal(err)
	}
	kept, err := store.certificate("call.duet.test", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return kept.Leaf
}

func TestWhatIsKeptButOfNoUseIsTold(t *testing.T) {
	cfg := config.TLS{ACMECache: t.TempDir(), ACMEDirectory: "https://ca.example/dir"}
	store, err := openACMEStore(cfg)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	pair := pairIn(t.TempDir())
	certify(t, pair, "call.duet.test") // for an hour from now
	key, _ := os.ReadFile(pair.Key)
	cert, _ := os.ReadFile(pair.Cert)
	whole := append(key, cert...)
	for _, tt := range []struct {
		name, domain string
		text         []byte
		at           time.Time
		want         string
	}{
		{"whole", "call.duet.test", whole, now, ""},
		{"expired", "call.duet.test", whole, now.Add(2 * time.Hour), "expired at"},
		{"not yet valid", "call.duet.test", whole, now.Add(-2 * time.Hour), "is the clock right?"},
		{"another name's", "turn.duet.test", whole, now, "not turn.duet.test"},
		{"half", "call.duet.test", key, now, "failed to find certificate"},
		{"garbage", "call.duet.test", []byte("garbage"), now, "failed to find any PEM"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := store.keep(tt.domain, tt.text); err != nil {
				t.Fatal(err)
			}
			cert, err := store.certificate(tt.domain, tt.at)
			if (err == nil) != (tt.want == "") || (cert == nil) != (err != nil) || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, %v, want %q", cert != nil, err, tt.want)
			}
		})
	}
	if cert, err := store.certificate("nobody.duet.test", now); cert != nil || err != nil {
		t.Errorf("nothing is kept, but: %v, %v", cert, err)
	}
	first, err := store.accountKey()
	if err != nil {
		t.Fatal(err)
	}
	second, err := store.accountKey()
	if err != nil || !first.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(second.Public()) {
		t.Errorf("the account has another key, %v", err)
	}
}

func TestTheCacheIsFoundOrTheKeyToSetIsNamed(t *testing.T) {
	t.Setenv("STATE_DIRECTORY", "/var/lib/duet:/var/lib/other")
	if got, err := acmeCache(""); got != "/var/lib/duet/acme" || err != nil {
		t.Errorf("systemd's: %s, %v", got, err)
	}
	if got, err := acmeCache("/srv/acme"); got != "/srv/acme" || err != nil {
		t.Errorf("configured: %s, %v", got, err)
	}
	file := filepath.Join(t.TempDir(), "file")
	writeFile(t, file, nil)
	if _, err := openACMEStore(config.TLS{ACMECache: file}); err == nil || !strings.Contains(err.Error(), "set [tls] acme_cache") {
		t.Errorf("no directory: %v", err)
	}
	if a, b := caName("https://acme-v02.api.letsencrypt.org/directory"), caName("https://acme-staging-v02.api.letsencrypt.org/directory"); a == b || strings.Contains(a, "/") {
		t.Errorf("%s, %s", a, b)
	}
}

// One name that fails takes nothing from the others.
func TestEachNameHasItsOwnCertificate(t *testing.T) {
	a := &acmeCertificates{cfg: config.TLS{ACMEDomains: []string{"a.test", "b.test"}}, challenges: newChallenges()}
	for _, name := range a.cfg.ACMEDomains {
		a.domains = append(a.domains, &acmeDomain{name: name})
	}
	cert := &tls.Certificate{Leaf: &x509.Certificate{}}
	a.domains[1].current.Store(cert)
	for _, tt := range []struct {
		name string
		alpn []string
		want *tls.Certificate
	}{
		{"a.test", nil, nil},
		{"b.test", nil, cert},
		{"B.Test", []string{"http/1.1"}, cert},
		{"c.test", nil, nil},
		{"", nil, cert},
		{"b.test", []string{"acme-tls/1"}, nil}, // the CA wants its challenge or nothing
	} {
		if got := a.get(&tls.ClientHelloInfo{ServerName: tt.name, SupportedProtos: tt.alpn}, time.Now()); got != tt.want {
			t.Errorf("%q, ALPN %v: another certificate", tt.name, tt.alpn)
		}
	}
	for public, want := range map[string]bool{"": false, "https://a.test": false, "https://b.test": true, "https://c.test": false} {
		s := &server{certs: a, split: &split{inner: addressed{&net.TCPAddr{}}}}
		s.current.Store(&s.cfg)
		s.cfg.HTTP.PublicURL = public
		if got := s.certified(); got != want {
			t.Errorf("public_url %q: certified %v", public, got)
		}
	}
}

func TestFailuresAreRetriedEverLessOften(t *testing.T) {
	for failures, want := range map[int]time.Duration{0: time.Minute, 1: 2 * time.Minute, 5: 32 * time.Minute, 9: 6 * time.Hour, 1000: 6 * time.Hour} {
		if got := retryIn(failures); got != want {
			t.Errorf("after %d failures: %v, want %v", failures, got, want)
		}
	}
}

func TestChallengesAreThoseOfThePortsThatACAComesTo(t *testing.T) {
	const both = acme.ChallengeTypeHTTP01 + " " + acme.ChallengeTypeTLSALPN01
	for _, tt := range []struct{ page, secure, want string }{
		{":80", ":443", both},
		{":8080", ":443", acme.ChallengeTypeTLSALPN01},
		{":80", ":8443", acme.ChallengeTypeHTTP01},
		{":8080", ":8443", both}, // something forwards
	} {
		var cfg config.Config
		cfg.HTTP.Listen, cfg.TLS.Listen = tt.page, tt.secure
		solvers := newChallenges().solvers(cfg)
		var got []string
		for _, challenge := range strings.Fields(both) {
			if solvers[challenge] != nil {
				got = append(got, challenge)
			}
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%s and %s: %v, want %s", tt.page, tt.secure, got, tt.want)
		}
	}
}
