package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"github.com/duetcall/duet/config"
	"github.com/duetcall/duet/signaling"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait in these tests.
const patience = 20 * time.Second

// service is a signaling server at an address that outlives it.
type service struct {
	t       *testing.T
	url     string
	current atomic.Pointer[signaling.Server]
}

func startService(t *testing.T) *service {
	t.Helper()
	s := &service{t: t}
	s.replace()
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.current.Load().ServeHTTP(w, r) }))
	t.Cleanup(web.Close)
	s.url = "ws" + strings.TrimPrefix(web.URL, "http") + "/v1/ws"
	return s
}

// replace puts a server in the place of the one before, with the same session key, as when a process was
// killed and started again.
func (s *service) replace() {
	limits := config.Default().Signaling
	limits.ConnectRate, limits.MessageRate, limits.ByteRate = 0, 0, 0
	next := signaling.New(limits, signaling.Options{SessionKey: make([]byte, signaling.KeySize), Log: slog.New(slog.DiscardHandler)})
	s.current.Store(next)
	s.t.Cleanup(func() {
		if err := next.Shutdown(context.WithoutCancel(s.t.Context())); err != nil {
			s.t.Errorf("Shutdown: %v", err)
		}
	})
}

// join joins, and leaves when the test ends.
func (s *service) join(opts Options) *Session {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	member, err := Join(ctx, s.url, opts)
	if err != nil {
		s.t.Fatalf("joining: %v", err)
	}
	s.t.Cleanup(member.Close)
	return member
}

// refuses joins in vain.
func (s *service) refuses(opts Options) error {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	member, err := Join(ctx, s.url, opts)
	if err == nil {
		member.Close()
		s.t.Fatalf("%+v got in", opts)
	}
	return err
}

func next(t *testing.T, s *Session) signaling.Outbound {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	event, err := s.Next(ctx)
	if err != nil {
		t.Fatalf("waiting for an event: %v", err)
	}
	return event
}

// expect returns the next event, which is of that type.
func expect(t *testing.T, s *Session, want signaling.Type) signaling.Outbound {
	t.Helper()
	event := next(t, s)
	if event.Type != want {
		t.Fatalf("got %+v, want a %s", event, want)
	}
	return event
}

func expectMember(t *testing.T, s *Session, event signaling.Event, id string) signaling.Outbound {
	t.Helper()
	got := expect(t, s, signaling.TypeMember)
	if got.Event != event || got.Member.ID != id {
		t.Fatalf("got %s of %+v, want %s of %s", got.Event, got.Member, event, id)
	}
	return got
}

// ended reads to the end.
func ended(t *testing.T, s *Session) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		if _, err := s.Next(ctx); err != nil {
			return err
		}
	}
}

// cut ends the socket as a lost network does.
func cut(s *Session) {
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	if s.out.ws != nil {
		_ = s.out.ws.NetConn().Close()
	}
}

type offer struct {
	Type string `json:"type"`
	SDP  string `json:"sdp"`
}

func say(t *testing.T, s *Session, to string, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := s.Signal(ctx, to, offer{"offer", fmt.Sprint(n)}); err != nil {
		t.Fatalf("signal %d: %v", n, err)
	}
}

// hears reads signals from to, excluded, in order, and passes over what is none.
func hears(t *testing.T, s *Session, from, to int) {
	t.Helper()
	for n := from; n < to; {
		event := next(t, s)
		if event.Type != signaling.TypeSignal {
			continue
		}
		var got offer
		if err := json.Unmarshal(event.Description, &got); err != nil || got.SDP != fmt.Sprint(n) {
			t.Fatalf("heard %s (%v), want %d", event.Description, err, n)
		}
		n++
	}
}

func TestTwoMembersMeetAndSignal(t *testing.T) {
	s := startService(t)
	ann := s.join(Options{Room: "tea", Name: "Ann"})
	bo := s.join(Options{Room: "tea", Name: "Bo"})
	if got := ann.Self(); got.Name != "Ann" || !got.Host || got.ID == "" {
		t.Errorf("Ann is %+v", got)
	}
	if got := bo.Members(); len(got) != 1 || got[0].ID != ann.Self().ID || got[0].Polite || !got[0].Host {
		t.Errorf("Bo meets %+v", got)
	}
	if got := bo.Room(); got.Name != "tea" || got.Capacity != 2 || got.Locked {
		t.Errorf("the room is %+v", got)
	}
	expectMember(t, ann, signaling.EventJoined, bo.Self().ID)
	if got := ann.Members(); len(got) != 1 || got[0].Name != "Bo" || !got[0].Polite {
		t.Errorf("Ann meets %+v", got)
	}
	if err := bo.Signal(t.Context(), ann.Self().ID, offer{"offer", "v=0"}, map[string]string{"candidate": "one"}, nil); err != nil {
		t.Fatal(err)
	}
	if got := expect(t, ann, signaling.TypeSignal); got.From != bo.Self().ID || string(got.Description) != `{"type":"offer","sdp":"v=0"}` || string(got.Candidates) != `[{"candidate":"one"},null]` {
		t.Errorf("got %+v", got)
	}
	if err := bo.RenewICE(); err != nil {
		t.Fatal(err)
	}
	expect(t, bo, signaling.TypeICE)
	say(t, bo, "m_nobody", 1)
	if got := expect(t, bo, signaling.TypeError); got.Code != signaling.CodeMemberNotFound {
		t.Errorf("got %+v", got)
	}
	if err := bo.Leave(t.Context()); err != nil {
		t.Errorf("leaving: %v", err)
	}
	if got := expectMember(t, ann, signaling.EventLeft, bo.Self().ID); got.Reason != signaling.ReasonLeft || len(ann.Members()) != 0 {
		t.Errorf("Bo left for %q, and %+v are here", got.Reason, ann.Members())
	}
	if err := ended(t, bo); !errors.Is(err, ErrLeft) {
		t.Errorf("Bo's session ended with %v", err)
	}
	if err := bo.Signal(t.Context(), ann.Self().ID, offer{}); !errors.Is(err, ErrLeft) {
		t.Errorf("who has left signals: %v", err)
	}
	if err := bo.Lock(true); !errors.Is(err, ErrAway) {
		t.Errorf("who has left locks: %v", err)
	}
}

func TestALostConnectionCostsNothing(t *testing.T) {
	s := startService(t)
	ann, bo := s.join(Options{Room: "tea", Name: "Ann"}), s.join(Options{Room: "tea", Name: "Bo"})
	const rounds, each = 5, 150
	for round := range rounds {
		heard := make(chan struct{})
		go func() {
			defer close(heard)
			hears(t, bo, round*each, (round+1)*each)
		}()
		for n := range each {
			if n == each/3 {
				cut(ann)
			}
			if n == 2*each/3 {
				cut(bo)
			}
			say(t, ann, bo.Self().ID, round*each+n)
		}
		<-heard
	}
	// The other way, what was said while away comes with the resume.
	cut(ann)
	for n := range 20 {
		say(t, bo, ann.Self().ID, n)
	}
	before := ann.Self().ID
	hears(t, ann, 0, 20)
	if ann.Self().ID != before {
		t.Error("Ann is another member now")
	}
}

func TestAServerThatWasKilledHasTheSameMembersWhenItIsBack(t *testing.T) {
	s := startService(t)
	ann, bo := s.join(Options{Room: "tea", Name: "Ann"}), s.join(Options{Room: "tea", Name: "Bo"})
	expectMember(t, ann, signaling.EventJoined, bo.Self().ID)
	ids := [2]string{ann.Self().ID, bo.Self().ID}
	s.replace()
	cut(ann)
	cut(bo)
	for _, member := range []*Session{ann, bo} {
		for event := next(t, member); event.Type != signaling.TypeResumed; event = next(t, member) {
			if event.Event == signaling.EventLeft || event.Type == signaling.TypeJoined {
				t.Fatalf("got %+v", event)
			}
		}
	}
	if ann.Self().ID != ids[0] || bo.Self().ID != ids[1] || !ann.Self().Host {
		t.Errorf("now they are %+v and %+v", ann.Self(), bo.Self())
	}
	say(t, ann, ids[1], 0)
	hears(t, bo, 0, 1)
}

func TestWhoComesBackTooLateIsANewMember(t *testing.T) {
	s := startService(t)
	ann := s.join(Options{Room: "tea", Name: "Ann"})
	before := ann.Self().ID
	if err := s.current.Load().End("tea"); err != nil {
		t.Fatal(err)
	}
	if err := ended(t, ann); !errors.Is(err, &Error{Code: CodeEnded}) {
		t.Errorf("an ended room: %v", err)
	}

	ann = s.join(Options{Room: "tea", Name: "Ann"})
	// The next server has another key, and knows nobody.
	other := signaling.New(config.Default().Signaling, signaling.Options{Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(func() { _ = other.Shutdown(context.WithoutCancel(t.Context())) })
	s.current.Store(other)
	cut(ann)
	for event := next(t, ann); event.Type != signaling.TypeJoined; event = next(t, ann) {
		t.Logf("before: %+v", event)
	}
	if ann.Self().ID == before || ann.Room().Name != "tea" {
		t.Errorf("now Ann is %+v", ann.Self())
	}
}

func TestRefusalsAreTold(t *testing.T) {
	s := startService(t)
	ann := s.join(Options{Room: "tea", Name: "Ann", Key: "sesame", Create: true})
	if err := s.refuses(Options{Room: "tea", Key: "wrong"}); !errors.Is(err, &Error{Code: signaling.CodeBadKey}) {
		t.Errorf("a wrong key: %v", err)
	}
	s.join(Options{Room: "tea", Key: "sesame"})
	err := s.refuses(Options{Room: "tea", Key: "sesame"})
	if full, ok := errors.AsType[*Error](err); !ok || full.Code != signaling.CodeRoomFull || full.Close != 4403 || full.Message == "" {
		t.Errorf("a full room: %v", err)
	}
	if err := s.refuses(Options{Room: ""}); !errors.Is(err, &Error{Code: signaling.CodeBadRequest}) {
		t.Errorf("no room: %v", err)
	}
	if err := ann.Kick("m_nobody"); err != nil {
		t.Fatal(err)
	}
	expect(t, ann, signaling.TypeMember)
	if got := expect(t, ann, signaling.TypeError); got.Code != signaling.CodeMemberNotFound {
		t.Errorf("got %+v", got)
	}
	for _, url := range []string{"", "http://" + strings.TrimPrefix(s.url, "ws://"), "ws://", "::"} {
		if _, err := Join(t.Context(), url, Options{Room: "tea"}); err == nil {
			t.Errorf("%q is taken for a URL", url)
		}
	}
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	if _, err := Join(t.Context(), "ws"+strings.TrimPrefix(other.URL, "http"), Options{Room: "tea"}); !errors.Is(err, &Error{Code: CodeUnreachable}) || !strings.Contains(err.Error(), "404") {
		t.Errorf("another server: %v", err)
	}
}

func TestWhoKnocksIsLetInOrSentAway(t *testing.T) {
	s := startService(t)
	ann := s.join(Options{Room: "tea", Name: "Ann"})
	if err := ann.Lock(true); err != nil {
		t.Fatal(err)
	}
	if got := expect(t, ann, signaling.TypeRoom); !got.Room.Locked || !ann.Room().Locked {
		t.Errorf("got %+v", got)
	}
	if err := s.refuses(Options{Room: "tea", Name: "Cy"}); !errors.Is(err, &Error{Code: signaling.CodeRoomLocked}) {
		t.Errorf("a locked room: %v", err)
	}
	for _, row := range []struct {
		does func(id string) error
		want signaling.Code
	}{{ann.Refuse, signaling.CodeForbidden}, {ann.Admit, ""}} {
		result := make(chan error, 1)
		go func() {
			cy, err := Join(t.Context(), s.url, Options{Room: "tea", Name: "Cy", Knock: true})
			if err == nil {
				cy.Close()
			}
			result <- err
		}()
		knock := expect(t, ann, signaling.TypeKnock)
		if got := ann.Room().Knocks; knock.Event != signaling.EventAsked || len(got) != 1 || got[0].Name != "Cy" {
			t.Errorf("got %+v and %+v", knock, got)
		}
		if err := row.does(knock.Knock.ID); err != nil {
			t.Fatal(err)
		}
		if err := <-result; row.want == "" && err != nil || row.want != "" && !errors.Is(err, &Error{Code: row.want}) {
			t.Errorf("got %v, want %q", err, row.want)
		}
		for gone := next(t, ann); gone.Event != signaling.EventGone; gone = next(t, ann) {
		}
	}
}

func TestWhoIsPutOutDoesNotComeBack(t *testing.T) {
	s := startService(t)
	ann, bo := s.join(Options{Room: "tea", Name: "Ann"}), s.join(Options{Room: "tea", Name: "Bo"})
	if err := ann.Kick(bo.Self().ID); err != nil {
		t.Fatal(err)
	}
	if err := ended(t, bo); !errors.Is(err, &Error{Code: CodeKicked}) {
		t.Errorf("Bo's session ended with %v", err)
	}
	for _, row := range []struct {
		close  int
		reason signaling.Reason
		want   signaling.Code
		action signaling.Action
	}{
		{4404, signaling.ReasonEnded, CodeEnded, signaling.ActionStop},
		{1006, signaling.ReasonEnded, CodeEnded, signaling.ActionStop}, // the close frame was lost
		{4409, "", CodeReplaced, signaling.ActionStop},
		{1012, signaling.ReasonDrain, signaling.CodeUnavailable, signaling.ActionRejoin},
		{1006, "", CodeUnreachable, signaling.ActionRejoin},
	} {
		var goaway *signaling.Outbound
		if row.reason != "" {
			goaway = &signaling.Outbound{Type: signaling.TypeGoaway, Reason: row.reason}
		}
		if got := why(&websocket.CloseError{Code: row.close}, nil, goaway); got.Code != row.want || got.Action != row.action {
			t.Errorf("close %d after %q is %+v", row.close, row.reason, got)
		}
	}
}

func TestAJoinEndsWithItsContext(t *testing.T) {
	deaf := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer deaf.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := Join(ctx, "ws"+strings.TrimPrefix(deaf.URL, "http"), Options{Room: "tea"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestTheDocumentedMessagesOfAServerAreUnderstood(t *testing.T) {
	files, err := filepath.Glob("../testdata/message/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal("no examples", err)
	}
	for _, file := range files {
		frame, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if said, err := signaling.Decode(frame); err == nil && (said.Type == signaling.TypeJoin || said.Type == signaling.TypeResume) {
			continue // a client says this
		}
		var in signaling.Outbound
		if err := decode(frame, &in); err != nil || in.Type == "" {
			t.Errorf("%s: %+v, %v", file, in, err)
		}
	}
}
