//go:build unix

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/pion/logging"
	"github.com/pion/turn/v4"

	"github.com/duetcall/duet/signaling"
)

// duet is the binary at work: a process of its own, which signals reach.
type duet struct {
	t          *testing.T
	cmd        *exec.Cmd
	file       string // its turnserver.toml
	http, turn string // addresses

	mu    sync.Mutex
	lines []string
	more  chan struct{} // closed and replaced at each line
	ended chan struct{} // closed once the process has
	err   error         // of its end
}

// settings is a sound turnserver.toml; the texts are lines for [turn], and what follows it.
func (d *duet) settings(turn string, rest ...string) string {
	_, port, _ := net.SplitHostPort(d.turn)
	return fmt.Sprintf("[metrics]\nlisten = \"\"\n[http]\nlisten = %q\n[turn]\nlistening_ip = [\"127.0.0.1\"]\nlistening_port = %s\nmin_port = 29300\nmax_port = 29400\nerror_rate = 0\n%s\n%s\n",
		d.http, port, turn, strings.Join(rest, "\n"))
}

// startProcess runs duet until it ends or the test does.
func startProcess(t *testing.T, turn string, rest ...string) *duet {
	t.Helper()
	d := &duet{
		t: t, file: filepath.Join(t.TempDir(), "turnserver.toml"),
		http: "127.0.0.1:" + freePort(t), turn: "127.0.0.1:" + freePort(t),
	}
	d.write(d.settings(turn, rest...))
	d.start()
	return d
}

// start runs a process, the first or the next.
func (d *duet) start() {
	d.t.Helper()
	d.mu.Lock()
	d.lines, d.more = nil, make(chan struct{})
	d.mu.Unlock()
	cmd, ended := exec.Command("duet", "--config", d.file), make(chan struct{})
	d.cmd, d.ended = cmd, ended
	cmd.Dir = filepath.Dir(d.file)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		d.t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		d.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	var readers sync.WaitGroup
	for _, pipe := range []io.Reader{stderr, stdout} {
		readers.Go(func() { d.listen(pipe) })
	}
	go func() {
		readers.Wait()
		d.err = cmd.Wait()
		close(ended)
	}()
	d.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
		if d.t.Failed() {
			d.t.Log(strings.Join(d.lines, "\n"))
		}
	})
	d.says("Relay ports", 1)
}

// kill ends the process as a machine that fails does.
func (d *duet) kill() {
	_ = d.cmd.Process.Kill()
	<-d.ended
}

func (d *duet) listen(pipe io.Reader) {
	for scanner := bufio.NewScanner(pipe); scanner.Scan(); {
		d.mu.Lock()
		d.lines = append(d.lines, scanner.Text())
		close(d.more)
		d.more = make(chan struct{})
		d.mu.Unlock()
	}
}

// says waits until that many lines hold the text, and returns the last of them.
func (d *duet) says(text string, times int) string {
	d.t.Helper()
	late := time.After(patience)
	for {
		d.mu.Lock()
		found, last := 0, ""
		for _, line := range d.lines {
			if strings.Contains(line, text) {
				found, last = found+1, line
			}
		}
		more := d.more
		d.mu.Unlock()
		if found >= times {
			return last
		}
		select {
		case <-more:
		case <-late:
			d.t.Fatalf("said %q %d times, want %d", text, found, times)
		}
	}
}

func (d *duet) write(text string) {
	d.t.Helper()
	if err := os.WriteFile(d.file, []byte(text), 0o600); err != nil {
		d.t.Fatal(err)
	}
}

func (d *duet) signal(order syscall.Signal) {
	d.t.Helper()
	if err := d.cmd.Process.Signal(order); err != nil {
		d.t.Fatal(err)
	}
}

// endsWell waits for the end, and checks its status.
func (d *duet) endsWell() {
	d.t.Helper()
	select {
	case <-d.ended:
		if d.err != nil {
			d.t.Errorf("duet ended with %v", d.err)
		}
	case <-time.After(patience):
		d.t.Fatal("duet runs on")
	}
}

func (d *duet) running() bool {
	select {
	case <-d.ended:
		return false
	default:
		return true
	}
}

// caller is one end of a relayed call, with pion's client.
type caller struct {
	net.PacketConn
	client *turn.Client
	end    func()
}

// call allocates, or returns why it could not.
func (d *duet) call(user, password string) (*caller, error) {
	d.t.Helper()
	local, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		d.t.Fatal(err)
	}
	quiet := logging.NewDefaultLoggerFactory()
	quiet.DefaultLogLevel = logging.LogLevelDisabled
	client, err := turn.NewClient(&turn.ClientConfig{
		STUNServerAddr: d.turn, TURNServerAddr: d.turn, Conn: local, LoggerFactory: quiet,
		Username: user, Password: password, Realm: "duet",
	})
	if err != nil {
		d.t.Fatal(err)
	}
	if err := client.Listen(); err != nil {
		d.t.Fatal(err)
	}
	relayed, err := client.Allocate()
	end := sync.OnceFunc(func() {
		if relayed != nil {
			relayed.Close()
		}
		client.Close()
		local.Close()
	})
	d.t.Cleanup(end)
	return &caller{relayed, client, end}, err
}

// pair is a running call.
func (d *duet) pair(a, b [2]string) (*caller, *caller) {
	d.t.Helper()
	var ends [2]*caller
	for i, who := range [][2]string{a, b} {
		end, err := d.call(who[0], who[1])
		if err != nil {
			d.t.Fatal(err)
		}
		ends[i] = end
	}
	d.permit(ends[0], ends[1])
	return ends[0], ends[1]
}

// permit asks the server, with the callers' credentials, what a call asks now and then.
func (d *duet) permit(a, b *caller) {
	d.t.Helper()
	for _, pair := range [][2]*caller{{a, b}, {b, a}} {
		if err := pair[0].client.CreatePermission(pair[1].LocalAddr()); err != nil {
			d.t.Fatal(err)
		}
	}
}

// talk sends a packet each way and loses none.
func (d *duet) talk(a, b *caller, text string) {
	d.t.Helper()
	buf := make([]byte, 1500)
	for _, pair := range [][2]*caller{{a, b}, {b, a}} {
		if _, err := pair[0].WriteTo([]byte(text), pair[1].LocalAddr()); err != nil {
			d.t.Fatal(err)
		}
		_ = pair[1].SetReadDeadline(time.Now().Add(patience))
		n, _, err := pair[1].ReadFrom(buf)
		if err != nil || !bytes.Equal(buf[:n], []byte(text)) {
			d.t.Fatalf("got %q, %v, want %q", buf[:n], err, text)
		}
	}
}

func (d *duet) refused(user, password, code string) {
	d.t.Helper()
	if _, err := d.call(user, password); err == nil || !strings.Contains(err.Error(), code) {
		d.t.Errorf("%s with %q got %v, want %s", user, password, err, code)
	}
}

func (d *duet) accepted(user, password string) {
	d.t.Helper()
	c, err := d.call(user, password)
	if err != nil {
		d.t.Errorf("%s with %q: %v", user, password, err)
		return
	}
	c.end()
}

func (d *duet) join(room string) (*websocket.Conn, signaling.Outbound) {
	d.t.Helper()
	return d.enter(map[string]any{"type": "join", "room": room})
}

// enter opens a socket with its first message, and returns the answer.
func (d *duet) enter(first map[string]any) (*websocket.Conn, signaling.Outbound) {
	d.t.Helper()
	dialer := websocket.Dialer{Subprotocols: []string{signaling.Protocol}}
	ws, resp, err := dialer.Dial("ws://"+d.http+"/v1/ws", nil)
	if err != nil {
		d.t.Fatal(err)
	}
	_ = resp.Body.Close()
	d.t.Cleanup(func() { ws.Close() })
	if err := ws.WriteJSON(first); err != nil {
		d.t.Fatal(err)
	}
	var answer signaling.Outbound
	if err := ws.ReadJSON(&answer); err != nil {
		d.t.Fatal(err)
	}
	return ws, answer
}

// resume takes over the session that another process has given out.
func (d *duet) resume(joined signaling.Outbound) (*websocket.Conn, signaling.Outbound) {
	d.t.Helper()
	return d.enter(map[string]any{"type": "resume", "session": joined.Session.ID, "key": joined.Session.Key, "seq": joined.Seq})
}

// answers checks that a socket is open and served.
func (d *duet) answers(ws *websocket.Conn) {
	d.t.Helper()
	if err := ws.WriteJSON(map[string]string{"type": "ping"}); err != nil {
		d.t.Fatal(err)
	}
	_ = ws.SetReadDeadline(time.Now().Add(patience))
	var out signaling.Outbound
	if err := ws.ReadJSON(&out); err != nil || out.Type != signaling.TypePong {
		d.t.Fatalf("got %+v, %v", out, err)
	}
}

var (
	ann = [2]string{"ann", "pass"}
	bob = [2]string{"bob", "word"}
)

const annAndBob = `users = { ann = "pass", bob = "word" }`

func TestBadReloadsChangeNothing(t *testing.T) {
	d := startProcess(t, annAndBob)
	ws, joined := d.join("tea")
	a, b := d.pair(ann, bob)
	minted := joined.ICE.Servers[0]
	bad := []string{
		"[turn", "nonsense = 1", d.settings(`users = { ann = "" }`), d.settings("min_prot = 1"),
		d.settings(`external_ip = "nowhere"`), d.settings("", "[log]", `level = "loud"`),
		d.settings(`users_file = "/does/not/exist"`), d.settings("", "[tls]", `cert = "half.pem"`), "",
	}
	for n := range 200 {
		if text := bad[n%len(bad)]; text == "" {
			_ = os.Remove(d.file)
		} else {
			d.write(text)
		}
		d.signal(syscall.SIGHUP)
		d.says("reload refused, nothing has changed", n+1)
		d.talk(a, b, fmt.Sprint("packet ", n))
	}
	d.permit(a, b)
	d.answers(ws)
	d.accepted(ann[0], ann[1])
	d.accepted(minted.Username, minted.Credential) // of a secret that the server has made
	// All that is wrong is said, as the start would.
	d.write(d.settings("min_prot = 1\nmax_channels = 0"))
	d.signal(syscall.SIGHUP)
	d.says("reload refused, nothing has changed", 201)
	for _, want := range []string{`turnserver.toml:11:1: turn.min_prot: unknown key; did you mean`, `turn.max_channels: 0 is out of range`} {
		if line := d.says(want, 1); !strings.Contains(line, `"level":"ERROR"`) {
			t.Errorf("said %s", line)
		}
	}
	d.signal(syscall.SIGTERM)
	d.endsWell()
}

func TestACallRunsThroughReloadsThatChangeItsUsersSecretsAndPeers(t *testing.T) {
	d := startProcess(t, annAndBob+"\nstatic_auth_secret = \"north\"")
	ws, joined := d.join("tea")
	minted := joined.ICE.Servers[0]
	a, b := d.pair(ann, bob)
	m, n := d.pair([2]string{minted.Username, minted.Credential}, ann)
	reload := func(times int, turn string, rest ...string) {
		t.Helper()
		d.write(d.settings(turn, rest...))
		d.signal(syscall.SIGHUP)
		d.says("configuration reloaded", times)
		d.talk(a, b, turn)
		d.talk(m, n, turn)
		d.permit(a, b)
		d.permit(m, n)
		d.answers(ws)
	}
	reload(1, `users = { ann = "new pass", cat = "meow" }`+"\nstatic_auth_secret = \"south\"\nstatic_auth_secret_previous = \"north\"\ndenied_peer_ip = [\"8.8.8.8\"]")
	if line := d.says("configuration reloaded", 1); !strings.Contains(line, `"changed":"turn.users, turn.static_auth_secret, turn.static_auth_secret_previous, turn.denied_peer_ip"`) {
		t.Errorf("said %s", line)
	}
	d.refused("ann", "pass", "401")
	d.refused("bob", "word", "401")
	d.accepted("ann", "new pass")
	d.accepted("cat", "meow")
	d.accepted(minted.Username, minted.Credential)
	if err := a.client.CreatePermission(&net.UDPAddr{IP: net.IPv4(8, 8, 8, 8), Port: 53}); err == nil || !strings.Contains(err.Error(), "403") {
		t.Errorf("a denied peer: %v, want 403", err)
	}

	// The secret before that is over. What needs a restart says so, and waits for it.
	reload(2, "static_auth_secret = \"south\"\nrealm = \"elsewhere\"", "[log]", `level = "warn"`, "format = \"text\"")
	if line := d.says("need a restart", 1); !strings.Contains(line, `"level":"WARN"`) || !strings.Contains(line, `"keys":"turn.realm, log.format"`) {
		t.Errorf("said %s", line)
	}
	d.refused(minted.Username, minted.Credential, "401")
	_, fresh := d.join("coffee")
	now := fresh.ICE.Servers[0]
	d.accepted(now.Username, now.Credential) // in the old realm
	d.signal(syscall.SIGTERM)
	d.endsWell()
	for _, line := range d.lines {
		if strings.Contains(line, "shutting down") {
			t.Errorf("at level warn, the log says %s", line)
		}
	}
}

func TestADrainEndsWithTheLastAllocation(t *testing.T) {
	d := startProcess(t, annAndBob)
	ws, _ := d.join("tea")
	a, b := d.pair(ann, bob)
	d.signal(syscall.SIGUSR1)
	d.says("draining: no new allocations", 1)
	d.refused("ann", "pass", "508")
	if _, refused := d.join("tea"); refused.Code != signaling.CodeUnavailable {
		t.Errorf("a newcomer got %+v, want unavailable", refused)
	}
	// Where to go instead may still be told.
	d.write(d.settings(annAndBob + "\nalternate_server = [\"192.0.2.7:3478\"]"))
	d.signal(syscall.SIGHUP)
	d.says("configuration reloaded", 1)
	d.refused("ann", "pass", "300")
	d.signal(syscall.SIGUSR1)
	d.says("draining already", 1)
	d.talk(a, b, "while draining")
	d.permit(a, b)
	d.answers(ws)
	a.end()
	d.answers(ws)
	if !d.running() {
		t.Fatal("it ended with an allocation left")
	}
	b.end()
	d.endsWell()
	d.says("drained", 1)
	_, _, err := ws.ReadMessage()
	for err == nil {
		_, _, err = ws.ReadMessage()
	}
	if !websocket.IsCloseError(err, websocket.CloseServiceRestart) {
		t.Errorf("the socket ended with %v, want close 1012", err)
	}
}

func TestADrainEndsAtItsDeadlineAtTheLatest(t *testing.T) {
	d := startProcess(t, annAndBob+"\ndrain_timeout = \"1500ms\"")
	a, b := d.pair(ann, bob)
	began := time.Now()
	d.signal(syscall.SIGUSR1)
	d.says("draining: no new allocations", 1)
	d.talk(a, b, "while draining")
	d.endsWell()
	if took := time.Since(began); took < 1500*time.Millisecond {
		t.Errorf("it ended after %s", took)
	}
	if line := d.says("drain_timeout is over", 1); !strings.Contains(line, `"allocations":2`) {
		t.Errorf("said %s", line)
	}
}

func TestSIGTERMEndsADrain(t *testing.T) {
	d := startProcess(t, annAndBob+"\ndrain_timeout = \"0s\"")
	d.pair(ann, bob)
	d.signal(syscall.SIGUSR1)
	d.says("draining: no new allocations", 1)
	d.signal(syscall.SIGTERM)
	d.endsWell()
}

// tell runs another command on the server's configuration.
func (d *duet) tell(command string, more ...string) (string, error) {
	d.t.Helper()
	out, err := exec.Command("duet", append([]string{command, "--config", d.file}, more...)...).CombinedOutput()
	return string(out), err
}

func TestReloadAndDrainFindTheServerByItsPIDFile(t *testing.T) {
	pid := filepath.Join(t.TempDir(), "duet.pid")
	process := fmt.Sprintf("[process]\npid_file = %q", pid)
	d := startProcess(t, annAndBob, process)
	if text, err := os.ReadFile(pid); err != nil || string(text) != fmt.Sprintln(d.cmd.Process.Pid) {
		t.Fatalf("the pid_file holds %q, %v", text, err)
	}
	a, b := d.pair(ann, bob)
	d.write(d.settings("min_prot = 1", process))
	if out, err := d.tell("reload"); err == nil || !strings.Contains(out, "did you mean") {
		t.Errorf("a bad file was taken: %s", out)
	}
	d.write(d.settings(annAndBob+"\nuser_quota = 3", process))
	if out, err := d.tell("reload"); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	d.says("configuration reloaded", 1)

	second := exec.Command("duet", "--config", d.file)
	second.Env = append(os.Environ(), "DUET_HTTP_LISTEN=127.0.0.1:0", "DUET_TURN_LISTENING_PORT="+freePort(t))
	if out, err := second.CombinedOutput(); err == nil || !strings.Contains(string(out), fmt.Sprintf("is that of a running server, process %d", d.cmd.Process.Pid)) {
		t.Errorf("a second server took the pid_file: %v, %s", err, out)
	}
	if out, err := d.tell("drain", "--no-wait"); err != nil || !strings.Contains(out, "drains") {
		t.Errorf("%v: %s", err, out)
	}
	d.says("draining: no new allocations", 1)
	d.talk(a, b, "while draining")
	a.end()
	b.end()
	if out, err := d.tell("drain"); err != nil && !strings.Contains(out, "no server runs") {
		t.Errorf("%v: %s", err, out)
	}
	d.endsWell()
	if _, err := os.Stat(pid); err == nil {
		t.Error("the pid_file is still there")
	}
	if out, err := d.tell("drain"); err == nil || !strings.Contains(out, "no server runs: there is no pid_file") {
		t.Errorf("%v: %s", err, out)
	}
	// Killed, a server leaves the file. Its number may be somebody else's by now.
	if err := os.WriteFile(pid, fmt.Appendln(nil, os.Getpid()), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := d.tell("drain"); err == nil || !strings.Contains(out, "has ended") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestDrainWaitsForTheEnd(t *testing.T) {
	d := startProcess(t, annAndBob)
	a, b := d.pair(ann, bob)
	waiting := exec.Command("duet", "drain", "--pid", fmt.Sprint(d.cmd.Process.Pid))
	var out bytes.Buffer
	waiting.Stdout, waiting.Stderr = &out, &out
	if err := waiting.Start(); err != nil {
		t.Fatal(err)
	}
	d.says("draining: no new allocations", 1)
	d.talk(a, b, "while draining")
	if waiting.ProcessState != nil || !d.running() {
		t.Fatal("it did not wait")
	}
	a.end()
	b.end()
	if err := waiting.Wait(); err != nil || !strings.Contains(out.String(), "the server has ended") {
		t.Errorf("%v: %s", err, out.String())
	}
	d.endsWell()
}

func TestADrainMovesMembersToAnotherNodeAndTheirCallsGoOn(t *testing.T) {
	clustered := fmt.Sprintf("[cluster]\nnats_url = %q\nnats_user = \"duet\"\nnats_password = \"tightly held\"\nsecret = \"0123456789abcdef0123456789abcdef\"\nreplicas = 1", startNATS(t))
	shared := annAndBob + "\nstatic_auth_secret = \"north\""
	d, other := startProcess(t, shared, clustered), startProcess(t, shared, clustered)
	ws, joined := d.join("tea")
	within(t, patience, "they know each other", func() bool {
		if slices.ContainsFunc(joined.ICE.Servers[0].URLs, func(url string) bool { return strings.Contains(url, other.turn) }) {
			return true
		}
		_ = ws.WriteJSON(map[string]string{"type": "leave"})
		ws, joined = d.join("tea")
		return false
	})
	minted := joined.ICE.Servers[0]
	a, b := d.pair([2]string{minted.Username, minted.Credential}, bob)
	d.signal(syscall.SIGUSR1)
	var told signaling.Outbound
	for last := joined.Seq; told.Type != signaling.TypeGoaway; last = told.Seq {
		joined.Seq = last
		if err := ws.ReadJSON(&told); err != nil || told.Type != signaling.TypeGoaway && told.Type != signaling.TypeICE {
			t.Fatalf("told %+v, %v", told, err)
		}
	}
	d.talk(a, b, "while nobody has the member")
	again, resumed := other.resume(joined)
	if resumed.Type != signaling.TypeResumed || *resumed.Lost || resumed.Self.ID != joined.Self.ID {
		t.Fatalf("got %+v", resumed)
	}
	other.answers(again)
	other.join("a room that is new")
	d.talk(a, b, "while the other has the member")
	d.permit(a, b)
	if !d.running() {
		t.Fatal("it ended with allocations left")
	}
	a.end()
	b.end()
	d.endsWell()
	other.answers(again)
	other.accepted(minted.Username, minted.Credential)
}
