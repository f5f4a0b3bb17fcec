package relay

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/stun/v3"

	"github.com/duetcall/duet/config"
)

// stunServer answers each Binding request with the datagrams that answer returns, until
// the test ends.
func stunServer(t *testing.T, answer func(request *stun.Message, from netip.AddrPort) [][]byte) config.STUNServer {
	t.Helper()
	conn := listenUDP(t, ownLoopback())
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			request := &stun.Message{Raw: buf[:n]}
			if err := request.Decode(); err != nil || request.Type != stun.BindingRequest {
				t.Errorf("asked with %x", buf[:n])
				return
			}
			for _, datagram := range answer(request, from) {
				conn.WriteToUDPAddrPort(datagram, from)
			}
		}
	}()
	t.Cleanup(func() { conn.Close(); <-done })
	at := addrPort(conn.LocalAddr())
	return config.STUNServer{Host: at.Addr().String(), Port: int(at.Port())}
}

// sees is a server that sees everyone at addr, on the port they really have.
func sees(t *testing.T, addr string) config.STUNServer {
	t.Helper()
	return stunServer(t, func(request *stun.Message, from netip.AddrPort) [][]byte {
		return [][]byte{success(request, netip.AddrPortFrom(mustAddr(addr), from.Port()))}
	})
}

func success(request *stun.Message, mapped netip.AddrPort) []byte {
	return stun.MustBuild(stun.NewTransactionIDSetter(request.TransactionID), stun.BindingSuccess,
		&stun.XORMappedAddress{IP: mapped.Addr().AsSlice(), Port: int(mapped.Port())}, stun.Fingerprint).Raw
}

func noLookup(context.Context, string) ([]netip.Addr, error) {
	return nil, errors.New("nobody looks anything up here")
}

// ask asks servers from an address of its own.
func ask(t *testing.T, servers ...config.STUNServer) heard {
	t.Helper()
	return weigh(heard{}, askSTUN(t.Context(), ownLoopback(), servers, noLookup))
}

func TestSTUNServerTellsTheExternalAddress(t *testing.T) {
	got := ask(t, sees(t, "9.9.9.9"))
	if got.addr != mustAddr("9.9.9.9") || got.trouble != "" || got.remapped || got.from == "" {
		t.Errorf("%+v", got)
	}
}

func TestOurOwnRelayIsASTUNServer(t *testing.T) {
	s := serve(t, testConfig(), Options{})
	local := ownLoopback()
	at := s.testAddr()
	answers := askSTUN(t.Context(), local, []config.STUNServer{{Host: at.Addr().String(), Port: int(at.Port())}}, noLookup)
	if got := answers[0]; got.err != nil || got.mapped != netip.AddrPortFrom(local, got.localPort) {
		t.Errorf("%+v", got)
	}
}

func TestOurOwnRelayIsASTUNServerForIPv6(t *testing.T) {
	loopback := netip.IPv6Loopback()
	conn, err := net.ListenUDP("udp6", udpAddr(netip.AddrPortFrom(loopback, 0)))
	if err != nil {
		t.Skip("no IPv6 loopback here")
	}
	conn.Close()
	cfg := testConfig()
	cfg.ListeningIP, cfg.RelayIP = []netip.Addr{loopback}, []netip.Addr{loopback}
	at := serve(t, cfg, Options{}).testAddr()
	answers := askSTUN(t.Context(), loopback, []config.STUNServer{{Host: "::1", Port: int(at.Port())}}, noLookup)
	if got := answers[0]; got.err != nil || got.mapped != netip.AddrPortFrom(loopback, got.localPort) {
		t.Errorf("%+v", got)
	}
}

func TestLostQuestionIsAskedAgain(t *testing.T) {
	var asked atomic.Int32
	server := stunServer(t, func(request *stun.Message, from netip.AddrPort) [][]byte {
		if asked.Add(1) < 3 {
			return nil
		}
		return [][]byte{success(request, netip.MustParseAddrPort("9.9.9.9:1"))}
	})
	if got := ask(t, server); got.addr != mustAddr("9.9.9.9") || !got.remapped || asked.Load() != 3 {
		t.Errorf("%+v after %d questions", got, asked.Load())
	}
}

// What strangers may send to where an answer is awaited moves nothing.
func TestHostileSTUNAnswersAreNotBelieved(t *testing.T) {
	lie := netip.MustParseAddrPort("6.6.6.6:6")
	other := listenUDP(t, ownLoopback())
	for _, row := range []struct {
		name    string
		answer  func(request *stun.Message, from netip.AddrPort) [][]byte
		trouble string
	}{
		{"silence", func(*stun.Message, netip.AddrPort) [][]byte { return nil }, "does not answer"},
		{"another transaction", func(*stun.Message, netip.AddrPort) [][]byte {
			return [][]byte{success(stun.MustBuild(stun.TransactionID, stun.BindingRequest), lie)}
		}, "sends what is no answer"},
		{"another source", func(request *stun.Message, from netip.AddrPort) [][]byte {
			other.WriteToUDPAddrPort(success(request, lie), from)
			return nil
		}, "does not answer"},
		{"garbage", func(request *stun.Message, _ netip.AddrPort) [][]byte {
			cut := success(request, lie)
			return [][]byte{{}, {0}, make([]byte, 20), make([]byte, 1500), cut[:len(cut)-4], []byte("HTTP/1.1 200 OK\r\n\r\n")}
		}, "sends what is no answer"},
		{"the question itself", func(request *stun.Message, _ netip.AddrPort) [][]byte {
			return [][]byte{request.Raw}
		}, "sends what is no answer"},
		{"another method", func(request *stun.Message, _ netip.AddrPort) [][]byte {
			return [][]byte{stun.MustBuild(stun.NewTransactionIDSetter(request.TransactionID), stun.NewType(stun.MethodAllocate, stun.ClassSuccessResponse),
				&stun.XORMappedAddress{IP: lie.Addr().AsSlice(), Port: 6}).Raw}
		}, "sends what is no answer"},
		{"an error", func(request *stun.Message, _ netip.AddrPort) [][]byte {
			return [][]byte{stun.MustBuild(stun.NewTransactionIDSetter(request.TransactionID), stun.BindingError, stun.CodeUnauthorized).Raw}
		}, "answers with error 401"},
		{"no address", func(request *stun.Message, _ netip.AddrPort) [][]byte {
			return [][]byte{stun.MustBuild(stun.NewTransactionIDSetter(request.TransactionID), stun.BindingSuccess).Raw}
		}, "answers without an address"},
		{"an address cut short", func(request *stun.Message, _ netip.AddrPort) [][]byte {
			return [][]byte{stun.MustBuild(stun.NewTransactionIDSetter(request.TransactionID), stun.BindingSuccess, raw(stun.AttrXORMappedAddress, 0, 1, 2)).Raw}
		}, "answers without an address"},
		{"an address of another family", func(request *stun.Message, _ netip.AddrPort) [][]byte {
			return [][]byte{success(request, netip.MustParseAddrPort("[2a00::1]:6"))}
		}, "another family"},
		{"a private address", func(request *stun.Message, _ netip.AddrPort) [][]byte {
			return [][]byte{success(request, netip.MustParseAddrPort("10.1.2.3:6"))}
		}, "sees 10.1.2.3, which is not public"},
		{"a carrier's address", func(request *stun.Message, _ netip.AddrPort) [][]byte {
			return [][]byte{success(request, netip.MustParseAddrPort("100.64.2.3:6"))}
		}, "sees 100.64.2.3, which is not public"},
		{"everyone's address", func(request *stun.Message, _ netip.AddrPort) [][]byte {
			return [][]byte{success(request, netip.MustParseAddrPort("255.255.255.255:6"))}
		}, "which is not public"},
		{"a group's address", func(request *stun.Message, _ netip.AddrPort) [][]byte {
			return [][]byte{success(request, netip.MustParseAddrPort("224.0.0.1:6"))}
		}, "which is not public"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			got := ask(t, stunServer(t, row.answer))
			if got.addr.IsValid() || !strings.Contains(got.trouble, row.trouble) {
				t.Errorf("%+v, want %q", got, row.trouble)
			}
			if took := time.Since(began); took > askTimeout+patience/5 {
				t.Errorf("took %s", took)
			}
		})
	}
}

// An honest answer is found among hostile ones.
func TestTheAnswerIsFoundAmongOthers(t *testing.T) {
	got := ask(t, stunServer(t, func(request *stun.Message, from netip.AddrPort) [][]byte {
		lie := success(stun.MustBuild(stun.TransactionID, stun.BindingRequest), netip.MustParseAddrPort("6.6.6.6:6"))
		return [][]byte{lie, {1, 2, 3}, success(request, netip.AddrPortFrom(mustAddr("9.9.9.9"), from.Port()))}
	}))
	if got.addr != mustAddr("9.9.9.9") || got.trouble != "" {
		t.Errorf("%+v", got)
	}
}

func TestAbsentServerIsNotWaitedFor(t *testing.T) {
	gone := listenUDP(t, ownLoopback())
	at := addrPort(gone.LocalAddr())
	gone.Close()
	began := time.Now()
	got := ask(t, config.STUNServer{Host: at.Addr().String(), Port: int(at.Port())})
	if !strings.Contains(got.trouble, "is not there") || time.Since(began) > askTimeout/2 {
		t.Errorf("%+v after %s", got, time.Since(began))
	}
}

func TestSilentServerDoesNotHoldUpTheOthers(t *testing.T) {
	silent := stunServer(t, func(*stun.Message, netip.AddrPort) [][]byte { return nil })
	began := time.Now()
	got := ask(t, silent, sees(t, "9.9.9.9"))
	if got.addr != mustAddr("9.9.9.9") || got.trouble != "" {
		t.Errorf("%+v", got)
	}
	if took := time.Since(began); took < othersFollow || took > askTimeout-othersFollow {
		t.Errorf("took %s", took)
	}
}

func TestServersThatDisagree(t *testing.T) {
	answer := func(server, addr string) stunAnswer {
		return stunAnswer{server: config.STUNServer{Host: server, Port: 3478}, mapped: netip.AddrPortFrom(mustAddr(addr), 5), localPort: 5}
	}
	before := heard{addr: mustAddr("8.8.8.8"), from: "b"}
	for _, row := range []struct {
		name    string
		before  heard
		answers []stunAnswer
		addr    string
		trouble string
	}{
		{"one lies, two do not", before, []stunAnswer{answer("a", "8.8.8.8"), answer("b", "9.9.9.9"), answer("c", "9.9.9.9")}, "9.9.9.9", "b sees 9.9.9.9, but a sees 8.8.8.8"},
		{"a draw at the start", heard{}, []stunAnswer{answer("a", "9.9.9.9"), answer("b", "8.8.8.8")}, "9.9.9.9", "a sees 9.9.9.9, but b sees 8.8.8.8"},
		{"a draw later", before, []stunAnswer{answer("a", "9.9.9.9"), answer("b", "8.8.8.8")}, "8.8.8.8", "b sees 8.8.8.8, but a sees 9.9.9.9"},
		{"all have changed their mind", before, []stunAnswer{answer("a", "9.9.9.9"), answer("b", "9.9.9.9")}, "9.9.9.9", ""},
		{"private ones have no vote", heard{}, []stunAnswer{answer("a", "10.0.0.1"), answer("b", "10.0.0.1"), answer("c", "9.9.9.9")}, "9.9.9.9", "a sees 10.0.0.1, which is not public"},
		{"nothing of use: what was known is kept", before, []stunAnswer{answer("a", "10.0.0.1"), {server: config.STUNServer{Host: "b"}, err: errSilent}}, "8.8.8.8", "b does not answer; keeping 8.8.8.8"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := weigh(row.before, row.answers)
			if got.addr != mustAddr(row.addr) || !strings.Contains(got.trouble, row.trouble) || (row.trouble == "") != (got.trouble == "") {
				t.Errorf("%+v", got)
			}
		})
	}
}

func FuzzBindingAnswer(f *testing.F) {
	request := stun.MustBuild(stun.NewTransactionIDSetter([12]byte{1, 2, 3}), stun.BindingRequest)
	f.Add(success(request, netip.MustParseAddrPort("9.9.9.9:9")))
	f.Add(success(request, netip.MustParseAddrPort("[2a00::1]:9")))
	f.Add(stun.MustBuild(request, stun.BindingError, stun.CodeUnauthorized).Raw)
	f.Fuzz(func(t *testing.T, datagram []byte) {
		before := string(datagram)
		mapped, answered, err := decodeBinding(datagram, request.TransactionID)
		if !answered && (mapped.IsValid() || err != nil) || answered && mapped.IsValid() == (err != nil) {
			t.Errorf("%s, %t, %v", mapped, answered, err)
		}
		if answered && string(datagram[8:20]) != string(request.TransactionID[:]) {
			t.Error("an answer to another question")
		}
		if before != string(datagram) {
			t.Error("the datagram was written to")
		}
	})
}
