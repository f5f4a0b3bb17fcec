package main

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/duetcall/duet/config"
	"github.com/duetcall/duet/signaling"
)

const adminToken = "a-token-of-thirty-two-characters"

// startAdmin serves with an admin API. The function asks it.
func startAdmin(t *testing.T) (s *server, ask func(method, path string, header ...string) (int, string)) {
	t.Helper()
	s, stop := startServer(t, func(cfg *config.Config) {
		cfg.Admin = config.Admin{Listen: "127.0.0.1:0", Token: adminToken}
	})
	t.Cleanup(stop)
	return s, func(method, path string, header ...string) (int, string) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), method, "http://"+s.admin.Addr().String()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+adminToken)
		for i := 0; i < len(header); i += 2 {
			if header[i] == "Host" {
				request.Host = header[i+1]
			}
			request.Header.Set(header[i], header[i+1])
		}
		resp, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		if len(body) > 0 && !json.Valid(body) && resp.StatusCode != http.StatusForbidden {
			t.Errorf("%s %s is answered with %s", method, path, body)
		}
		return resp.StatusCode, string(body)
	}
}

func TestTheAdminAPIListsRoomsAndEndsThem(t *testing.T) {
	s, ask := startAdmin(t)
	const room = "tea / 50 % ☕?#"
	ws, joined := join(t, s, room)
	defer ws.Close()
	local, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	given := joined.ICE.Servers[0]
	relayedBy(t, given, strings.TrimSuffix(strings.TrimPrefix(given.URLs[0], "turn:"), "?transport=udp"), local)

	status, body := ask("GET", "/v1/admin/rooms")
	var list struct{ Rooms []signaling.RoomState }
	if err := json.Unmarshal([]byte(body), &list); status != http.StatusOK || err != nil || len(list.Rooms) != 1 || list.Rooms[0].Name != room || list.Rooms[0].Members[0].ID != joined.Self.ID {
		t.Fatalf("got %d %s (%v)", status, body, err)
	}
	path := "/v1/admin/rooms/" + url.PathEscape(room)
	if status, body := ask("GET", path); status != http.StatusOK || !strings.Contains(body, joined.Self.ID) {
		t.Errorf("the room is %d %s", status, body)
	}
	for _, row := range [][2]string{{"GET", "/v1/admin/rooms/water"}, {"DELETE", "/v1/admin/rooms/water"}, {"DELETE", path + "/members/m_nobody"}, {"POST", path}, {"GET", "/"}} {
		if status, body := ask(row[0], row[1]); status != http.StatusNotFound || !strings.Contains(body, `"code":"not_found"`) {
			t.Errorf("%s %s is %d %s", row[0], row[1], status, body)
		}
	}
	if s.relay.Allocations() != 1 {
		t.Fatalf("%d allocations", s.relay.Allocations())
	}
	if status, body := ask("DELETE", path+"/members/"+joined.Self.ID); status != http.StatusNoContent || body != "" {
		t.Errorf("putting out is %d %s", status, body)
	}
	expectLast(t, ws, signaling.ReasonKicked, 4460)
	within(t, time.Second, "the relay of one who was put out is gone", func() bool { return s.relay.Allocations() == 0 })

	again, _ := join(t, s, room)
	defer again.Close()
	if status, body := ask("DELETE", path); status != http.StatusNoContent || body != "" {
		t.Errorf("ending is %d %s", status, body)
	}
	expectLast(t, again, signaling.ReasonEnded, 4404)
	if status, body := ask("GET", "/v1/admin/rooms"); status != http.StatusOK || body != "{\"rooms\":[]}\n" {
		t.Errorf("in the end there are %d %s", status, body)
	}
}

// expectLast reads to the end of a socket.
func expectLast(t *testing.T, ws *websocket.Conn, reason signaling.Reason, code int) {
	t.Helper()
	_ = ws.SetReadDeadline(time.Now().Add(patience))
	var last signaling.Outbound
	for {
		var out signaling.Outbound
		err := ws.ReadJSON(&out)
		if err == nil {
			last = out
			continue
		}
		if !websocket.IsCloseError(err, code) || last.Type != signaling.TypeGoaway || last.Reason != reason {
			t.Errorf("closed with %v after %+v, want %d and %s", err, last, code, reason)
		}
		return
	}
}

func TestTheAdminAPIIsOpenToItsTokenAlone(t *testing.T) {
	s, ask := startAdmin(t)
	for _, authorization := range []string{"", "Bearer", "Bearer ", "Bearer wrong", "Basic " + adminToken, adminToken, "Bearer " + adminToken + "x"} {
		if status, body := ask("GET", "/v1/admin/rooms", "Authorization", authorization); status != http.StatusUnauthorized || !strings.Contains(body, `"code":"unauthenticated"`) || strings.Contains(body, adminToken) {
			t.Errorf("%q got %d %s", authorization, status, body)
		}
	}
	// A web page whose name suddenly means this machine.
	if status, _ := ask("GET", "/v1/admin/rooms", "Host", "evil.example"); status != http.StatusForbidden {
		t.Errorf("a name got %d", status)
	}
	// It is not where everybody comes.
	resp, err := http.Get(s.url() + "/v1/admin/rooms")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusNotFound {
		t.Errorf("at [http] listen it is answered with %d", resp.StatusCode)
	}

	// A reload changes the token, but does not open or close the port.
	next := s.cfg
	next.Admin.Token = "another-token,-of-32-characters."
	s.read = func() (config.Config, error) { return next, nil }
	s.reload()
	if status, _ := ask("GET", "/v1/admin/rooms"); status != http.StatusUnauthorized {
		t.Errorf("the old token got %d", status)
	}
	if status, _ := ask("GET", "/v1/admin/rooms", "Authorization", "Bearer "+next.Admin.Token.Reveal()); status != http.StatusOK {
		t.Errorf("the new token got %d", status)
	}
	next.Admin.Token = ""
	s.reload()
	if status, _ := ask("GET", "/v1/admin/rooms", "Authorization", "Bearer "); status != http.StatusUnauthorized {
		t.Errorf("no token got %d", status)
	}
}

func TestWithoutATokenThereIsNoAdminAPI(t *testing.T) {
	s, stop := startServer(t, nil)
	defer stop()
	if s.admin != nil {
		t.Errorf("it is at %s", s.admin.Addr())
	}
}
