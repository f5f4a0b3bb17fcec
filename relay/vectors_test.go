package relay

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"math/rand/v2"
	"net/netip"
	"testing"
)

// The samples of RFC 5769 section 2, byte for byte.
func TestRFC5769Vectors(t *testing.T) {
	const shortTermPassword = "VOkJxbRl1RmTxUk/WvJxBt"
	t.Run("2.1 request", func(t *testing.T) {
		var e exchange
		drop := e.decode(unhex("00010058 2112a442 b7e7a701bc34d686fa87dfae" +
			"80220010 5354554e207465737420636c69656e74 00240004 6e0001ff 80290008 932ff9b151263b36" +
			"00060009 6576746a3a68367659202020 00080014 9aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2 80280004 e57a3bcf"))
		if drop != kept || !e.fingerprint || string(e.username) != "evtj:h6vY" || !e.signedWith([]byte(shortTermPassword)) {
			t.Errorf("dropped %q, fingerprint %t, user %q", drop, e.fingerprint, e.username)
		}
	})
	for _, row := range []struct{ name, start, address, integrity, fingerprint, want string }{
		{
			"2.2 IPv4 response",
			"0101003c 2112a442 b7e7a701bc34d686fa87dfae 8022000b 7465737420766563746f7220", "00200008 0001a147e112a643",
			"00080014 2b91f599fd9e90c38c7489f92af9ba53f06be7d7", "80280004 c07d4c96", "192.0.2.1:32853",
		},
		{
			"2.3 IPv6 response",
			"01010048 2112a442 b7e7a701bc34d686fa87dfae 8022000b 7465737420766563746f7220",
			"00200014 0002a1470113a9faa5d3f179bc25f4b5bed2b9d9",
			"00080014 a382954e4be67bf11784c97c8292c275bfe3ed41", "80280004 c8fb0b4c", "[2001:db8:1234:5678:11:2233:4455:6677]:32853",
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			// Ours from the address on: the sample pads SOFTWARE with a space.
			var h hasher
			got := message(unhex(row.start)).addAddress(attrXORMappedAddress, netip.MustParseAddrPort(row.want)).
				sign(&h, []byte(shortTermPassword), false).addFingerprint()
			if want := unhex(row.start + row.address + row.integrity + row.fingerprint); string(got) != string(want) {
				t.Errorf("got  %x\nwant %x", []byte(got), want)
			}
			if value, _ := attribute(got, attrXORMappedAddress); xorAddress(value, got).String() != row.want {
				t.Errorf("read back as %s", xorAddress(value, got))
			}
		})
	}
	t.Run("2.4 long-term request", func(t *testing.T) {
		var e exchange
		drop := e.decode(unhex("00010060 2112a442 78ad3433c6ad72c029da412e" +
			"00060012 e3839ee38388e383aae38383e382afe382b90000" +
			"0015001c 662f2f3439396b39353464364f4c33346f4c394653547679363473 41" +
			"0014000b 6578616d706c652e6f726700 00080014 f67024656dd64a3e02b8e0712e85c9a28ca89666"))
		if drop != kept || !e.signedWith(longTermKey(matrix, "example.org", "TheMatrIX")) {
			t.Errorf("dropped %q", drop)
		}
	})
}

// matrix is the user of RFC 5769 section 2.4 and of RFC 8489 appendix B.1.
const matrix = "\u30DE\u30C8\u30EA\u30C3\u30AF\u30B9"

// The sample of RFC 8489 appendix B.1, as erratum 6268 corrects it: USERHASH and a
// SHA-256 key.
func TestRFC8489Vector(t *testing.T) {
	e := exchange{}
	drop := e.decode(unhex("00010090 2112a442 78ad3433c6ad72c029da412e" +
		"001e0020 4a3cf38fef6992bda952c6780417da0f24819415569e60b205c46e41407f1704" +
		"00150029 6f624d61744a6f7332414141 43662f2f3439396b39353464364f4c33346f4c394653547679363473 41000000" +
		"0014000b 6578616d706c652e6f726700 001d0004 00020000" +
		"001c0020 b5c7bf005b6c52a21c51c5e892f819241362 96cb927c43149309278cc6518e65"))
	if drop != kept {
		t.Fatalf("dropped: %s", drop)
	}
	cfg := testConfig()
	cfg.Realm = "example.org"
	cfg.Users = users(matrix, "TheMatrIX")
	a := newAuthenticator(cfg, nil)
	if !a.prove(&e, algorithmSHA256) || e.grant.user.name != matrix {
		t.Errorf("the user of the USERHASH is %q, and the signature does not fit", e.grant.user.name)
	}
	if a.prove(&e, algorithmMD5) {
		t.Error("the MD5 key fits as well")
	}
}

func TestHasherAgreesWithTheStandardLibrary(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 7))
	var h hasher
	for range 500 {
		key, message := make([]byte, random.IntN(200)), make([]byte, random.IntN(3000))
		for _, b := range [][]byte{key, message} {
			for i := range b {
				b[i] = byte(random.Uint32())
			}
		}
		short := macKey(string(key))
		want1 := hmac.New(sha1.New, key)
		want1.Write(message)
		if got := h.sha1(short, message); !hmac.Equal(got[:], want1.Sum(nil)) {
			t.Fatalf("HMAC-SHA1 with a key of %d bytes over %d bytes", len(key), len(message))
		}
		want256 := hmac.New(sha256.New, short)
		want256.Write(message)
		if got := h.sha256(short, message); !hmac.Equal(got[:], want256.Sum(nil)) {
			t.Fatalf("HMAC-SHA256 with a key of %d bytes over %d bytes", len(short), len(message))
		}
	}
}
