package signaling

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// byToken lets in those whose token is known, on its terms.
func byToken(grants map[string]Grant) func(context.Context, JoinRequest) (Grant, error) {
	return func(_ context.Context, req JoinRequest) (Grant, error) {
		grant, ok := grants[req.Token]
		if !ok {
			return Grant{}, &Denied{CodeUnauthenticated, "Bring a token."}
		}
		return grant, nil
	}
}

func TestWhoIsDeniedGetsNoSeatAndTheCodeOfTheDenial(t *testing.T) {
	for _, row := range []struct {
		err    error
		code   Code
		action Action
		close  int
	}{
		{&Denied{CodeUnauthenticated, "Bring a token."}, CodeUnauthenticated, ActionStop, closeUnauthenticated},
		{&Denied{CodeForbidden, "Not you."}, CodeForbidden, ActionStop, closeForbidden},
		{fmt.Errorf("wrapped: %w", &Denied{CodeForbidden, "Not you."}), CodeForbidden, ActionStop, closeForbidden},
		{errors.New("dial tcp 10.0.0.1: refused"), CodeUnavailable, ActionRejoin, closeTryAgain},
		{context.DeadlineExceeded, CodeUnavailable, ActionRejoin, closeTryAgain},
	} {
		t.Run(row.err.Error(), func(t *testing.T) {
			s, url := start(t, three(), Options{Authorize: func(context.Context, JoinRequest) (Grant, error) {
				return Grant{Name: "nobody"}, row.err
			}})
			for _, fields := range []string{`"name":"Ann"`, `"key":"sesame","create":true`, `"knock":true`, `"token":"x"`, `"old_session":"m_x","old_key":"x"`} {
				c, got := asks(t, url, fields)
				if got.Type != TypeError || got.Code != row.code || got.Action != row.action || strings.Contains(got.Message, "10.0.0.1") {
					t.Errorf("%s: got %+v", fields, got)
				}
				c.expectClosed(row.close)
			}
			if st := s.Stats(); st.Rooms != 0 || st.Members != 0 || st.Joins != 0 || st.Refused[row.code] != 5 {
				t.Errorf("got %+v", st)
			}
		})
	}
}

func TestAGrantSaysOnWhatTermsSomebodyJoins(t *testing.T) {
	var asked []JoinRequest
	grants := byToken(map[string]Grant{
		"guest": {Name: " G\u202eus ", Role: RoleGuest, Subject: "u1"},
		"host":  {Role: RoleHost},
		"plain": {},
	})
	_, url := start(t, three(), Options{Authorize: func(ctx context.Context, req JoinRequest) (Grant, error) {
		asked = append(asked, req)
		if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) > authorizeTimeout {
			t.Error("there is no deadline")
		}
		return grants(ctx, req)
	}})
	gus, got := asks(t, url, `"name":" Ann ","token":"guest"`)
	if got.Self == nil || got.Self.Host || got.Self.Name != "Gus" {
		t.Fatalf("a guest who is first: %+v", got)
	}
	want := JoinRequest{Room: "tea", Name: "Ann", Token: "guest", Client: netip.MustParseAddr("127.0.0.1")}
	if !reflect.DeepEqual(asked, []JoinRequest{want}) {
		t.Errorf("asked %+v", asked)
	}
	bo, got := asks(t, url, `"name":"Bo","token":"plain"`)
	if !got.Self.Host || got.Self.Name != "Bo" || (*got.Members)[0].Name != "Gus" {
		t.Errorf("the first who is no guest: %+v", got)
	}
	cy, got := asks(t, url, `"name":"Cy","token":"host"`)
	if !got.Self.Host || got.Self.Name != "Cy" {
		t.Errorf("a host who comes last: %+v", got)
	}
	for _, c := range []*client{bo, cy} {
		c.send(`{"type":"leave"}`)
		c.expectClosed(websocket.CloseNormalClosure)
	}
	for {
		out := gus.next()
		if out.Type == TypeRoom {
			t.Errorf("a guest became a host: %+v", out.Self)
		}
		if out.Event == EventLeft && out.Member.ID == cy.id {
			break
		}
	}
	gus.send(`{"type":"lock","locked":true}`)
	if got := gus.expect(TypeError); got.Code != CodeForbidden {
		t.Errorf("got %+v", got)
	}
}

func TestTheICEServersOfAGrantStayWithTheSession(t *testing.T) {
	key := make([]byte, KeySize)
	extra := ICEServer{URLs: []string{"turn:192.0.2.9"}, Username: "u", Credential: "c"}
	opts := Options{
		SessionKey: key,
		ICEServers: func(string) ICE { return ICE{Servers: []ICEServer{{URLs: []string{"turn:192.0.2.1"}}}} },
		Authorize:  byToken(map[string]Grant{"t": {ICEServers: []ICEServer{extra, extra, extra, extra, extra}}}),
	}
	check := func(what string, ice *ICE) {
		t.Helper()
		if ice == nil || len(ice.Servers) != 1+maxExtraICE || !reflect.DeepEqual(ice.Servers[1], extra) {
			t.Errorf("%s: %+v", what, ice)
		}
	}
	_, url := start(t, graceful(), opts)
	ann, joined := asks(t, url, `"token":"t"`)
	check("joined", joined.ICE)
	ann.send(`{"type":"ice"}`)
	check("ice", ann.expect(TypeICE).ICE)
	ann.cut()
	again, resumed := ann.resume(t, url, joined.Session, 2, "a")
	check("resumed", resumed.ICE)
	again.send(`{"type":"ice"}`)
	check("ice after a resume", again.expect(TypeICE).ICE)

	_, url = start(t, graceful(), opts) // the next process
	_, restored := again.resume(t, url, resumed.Session, 3, "b")
	check("restored", restored.ICE)
}

func TestAResumeAndATakenSeatAreNotAuthorisedAgain(t *testing.T) {
	var mu sync.Mutex
	calls, grants := 0, map[string]Grant{"once": {Name: "Ann", Role: RoleGuest, Subject: "u1"}}
	seen := make(chan RoomEvent, 16)
	_, url := start(t, graceful(), Options{
		Events: func(e RoomEvent) { seen <- e },
		Authorize: func(ctx context.Context, req JoinRequest) (Grant, error) {
			mu.Lock()
			defer mu.Unlock()
			calls++
			defer delete(grants, req.Token)
			return byToken(grants)(ctx, req)
		},
	})
	ann, joined := asks(t, url, `"name":"x","token":"once"`)
	ann.cut()
	ann, resumed := ann.resume(t, url, joined.Session, 1, "a")
	if resumed.Type != TypeResumed {
		t.Fatalf("got %+v", resumed)
	}
	ann.cut()
	old := fmt.Sprintf(`"name":"Mallory","token":"once","old_session":%q,"old_key":%q`, ann.id, resumed.Session.Key)
	again, got := asks(t, url, old)
	if got.Type != TypeJoined || got.Self.Name != "Ann" || got.Self.Host {
		t.Fatalf("what the token said is forgotten: %+v", got)
	}
	if calls != 1 {
		t.Errorf("asked %d times", calls)
	}
	for e := range seen {
		if e.Type == MemberJoined && e.Member.ID == again.id {
			if e.Member.Subject != "u1" {
				t.Errorf("got %+v", e.Member)
			}
			break
		}
	}
	// The key is used up: it proves nothing any more.
	if _, got := asks(t, url, old); got.Code != CodeUnauthenticated {
		t.Errorf("got %+v", got)
	}
	forged := fmt.Sprintf(`"old_session":%q,"old_key":%q`, again.id, got.Session.Key[:20])
	if _, got := asks(t, url, forged); got.Code != CodeUnauthenticated {
		t.Errorf("got %+v", got)
	}
}

func TestWhoHasTheKeyOfASeatThatHasJustGoneIsNotLetIn(t *testing.T) {
	s, _ := start(t, graceful(), Options{Authorize: byToken(map[string]Grant{"t": {}})})
	m, refused := s.join(Inbound{Room: "tea"}, terms{}, unconnected())
	if refused != nil {
		t.Fatal(refused)
	}
	m.view.mu.Lock()
	key := s.issue(m, m.view.room).Key
	m.view.mu.Unlock()
	in := Inbound{Room: "tea", OldSession: m.id, OldKey: key}
	on, refused := s.authorize(in, netip.Addr{})
	if refused != nil || !on.returns {
		t.Fatalf("got %+v, %v", on, refused)
	}
	m.acting.Lock()
	s.remove(m, ReasonKicked)
	m.acting.Unlock()
	if _, refused := s.join(in, on, unconnected()); refused == nil || refused.code != CodeSessionExpired {
		t.Errorf("got %+v", refused)
	}
}

func TestAKnockIsLetInOnTheTermsOfItsGrant(t *testing.T) {
	seen := make(chan RoomEvent, 16)
	_, url := start(t, three(), Options{
		Authorize: byToken(map[string]Grant{"a": {}, "c": {Name: "Cy", Role: RoleHost, Subject: "u3"}}),
		Events:    func(e RoomEvent) { seen <- e },
	})
	ann, _ := asks(t, url, `"token":"a"`)
	ann.send(`{"type":"lock","locked":true}`)
	ann.expect(TypeRoom)
	cy, got := asks(t, url, `"knock":true,"token":"c"`)
	if got.Type != TypeKnocking {
		t.Fatalf("got %+v", got)
	}
	ann.send(`{"type":"admit","id":%q}`, ann.expect(TypeKnock).Knock.ID)
	if joined := cy.expect(TypeJoined); !joined.Self.Host || joined.Self.Name != "Cy" {
		t.Errorf("got %+v", joined.Self)
	}
	for e := range seen {
		if e.Type == MemberJoined && e.Member.Name == "Cy" {
			if e.Member.Subject != "u3" || !e.Member.Host {
				t.Errorf("got %+v", e.Member)
			}
			return
		}
	}
}

func TestOnlySoManyAreAskedAboutAtOnce(t *testing.T) {
	asked, answer := make(chan struct{}, maxAuthorizing), make(chan struct{})
	s, url := start(t, graceful(), Options{Authorize: func(ctx context.Context, _ JoinRequest) (Grant, error) {
		asked <- struct{}{}
		select {
		case <-answer:
			return Grant{}, nil
		case <-ctx.Done():
			return Grant{}, ctx.Err()
		}
	}})
	var waiting []*client
	for n := range maxAuthorizing {
		c := dial(t, url)
		c.send(`{"type":"join","room":"room %d"}`, n)
		waiting = append(waiting, c)
		<-asked
	}
	c, got := asks(t, url, `"name":"one too many"`)
	if got.Code != CodeUnavailable || got.Action != ActionRejoin || got.RetryAfterMS == 0 {
		t.Errorf("got %+v", got)
	}
	c.expectClosed(closeTryAgain)
	if st := s.Stats(); st.Members != 0 {
		t.Errorf("%d have a seat before the answer", st.Members)
	}
	close(answer)
	for _, c := range waiting {
		c.expect(TypeJoined)
	}
	if _, got := asks(t, url, `"name":"later"`); got.Type != TypeJoined {
		t.Errorf("got %+v", got)
	}
}

func TestShutdownDoesNotWaitForTheAnswer(t *testing.T) {
	asked := make(chan struct{})
	s, url := start(t, testLimits, Options{Authorize: func(ctx context.Context, _ JoinRequest) (Grant, error) {
		close(asked)
		<-ctx.Done()
		return Grant{}, ctx.Err()
	}})
	c := dial(t, url)
	c.send(`{"type":"join","room":"tea"}`)
	<-asked
	began := time.Now()
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > authorizeTimeout/2 {
		t.Errorf("it took %v", took)
	}
	c.expectClosed(websocket.CloseServiceRestart)
}

func TestATokenOverItsLimitIsRefusedWithoutBeingRepeated(t *testing.T) {
	token := strings.Repeat("tok", MaxTokenBytes)
	frame, _ := json.Marshal(map[string]string{"type": "join", "room": "tea", "token": token})
	if _, err := Decode(frame); err == nil || strings.Contains(err.Error(), "tok"+"tok") {
		t.Errorf("got %v", err)
	}
	frame, _ = json.Marshal(map[string]string{"type": "join", "room": "tea", "token": token[:MaxTokenBytes]})
	if in, err := Decode(frame); err != nil || in.Token != token[:MaxTokenBytes] {
		t.Errorf("got %d bytes, %v", len(in.Token), err)
	}
}

func TestAMistakeOfOursEndsOneSocketAndNotTheServer(t *testing.T) {
	var logged loggedText
	_, url := start(t, graceful(), Options{
		Log: slog.New(slog.NewTextHandler(&logged, nil)),
		Authorize: func(_ context.Context, req JoinRequest) (Grant, error) {
			if req.Name == "Cy" {
				panic("we did not think of Cy")
			}
			return Grant{}, nil
		},
	})
	ann, _ := seated(t, url, "tea", "Ann")
	cy := dial(t, url)
	cy.send(`{"type":"join","room":"tea","name":"Cy"}`)
	if out := cy.expect(TypeError); out.Code != CodeInternal {
		t.Errorf("got %+v", out)
	}
	cy.expectClosed(websocket.CloseInternalServerErr)
	ann.quiet()
	bo, _ := seated(t, url, "tea", "Bo")
	ann.expectEvent(EventJoined, bo.id)
	if got := logged.String(); !strings.Contains(got, "we did not think of Cy") || !strings.Contains(got, "authorize_test.go") {
		t.Errorf("logged:\n%s", got)
	}
}
