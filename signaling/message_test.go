package signaling

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

// fromClients are the examples that a member sends; the others a server sends.
var fromClients = map[string]Type{
	"join": TypeJoin, "join-token": TypeJoin, "signal-description": TypeSignal, "signal-candidates": TypeSignal,
	"signal-end-of-candidates": TypeSignal, "ice-request": TypeICE, "leave": TypeLeave, "ping": TypePing, "resume": TypeResume,
	"join-key": TypeJoin, "join-knock": TypeJoin, "join-again": TypeJoin, "leave-for-reload": TypeLeave,
	"lock": TypeLock, "kick": TypeKick, "end": TypeEnd, "admit": TypeAdmit, "refuse": TypeRefuse,
}

func examples(t testing.TB) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob("testdata/message/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	all := make(map[string][]byte)
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all[strings.TrimSuffix(filepath.Base(f), ".json")] = bytes.TrimSpace(b)
	}
	return all
}

func TestTheDocumentedExamplesAreWhatTheCodecSpeaks(t *testing.T) {
	for name, example := range examples(t) {
		t.Run(name, func(t *testing.T) {
			if want, ok := fromClients[name]; ok {
				in, err := Decode(example)
				if err != nil || in.Type != want {
					t.Errorf("Decode = %+v, %v", in, err)
				}
				return
			}
			var out Outbound
			strict := json.NewDecoder(bytes.NewReader(example))
			strict.DisallowUnknownFields()
			if err := strict.Decode(&out); err != nil {
				t.Fatal(err)
			}
			var want, got any
			_ = json.Unmarshal(example, &want)
			_ = json.Unmarshal(encode(&out), &got)
			a, _ := json.Marshal(want)
			b, _ := json.Marshal(got)
			if !bytes.Equal(a, b) {
				t.Errorf("encoded again it is\n%s, want\n%s", b, a)
			}
		})
	}
}

func TestNamesAreCleanedAndBounded(t *testing.T) {
	for _, row := range []struct{ name, room, want string }{
		{"plain", "tea", "tea"},
		{"Chinese", "茶", "茶"},
		{"white space around", "  tea room ", "tea room"},
		{"bidi override", "a\u202eb\u2066c", "abc"},
		{"control", "a\x00b\nc\u0085", "abc"},
		{"64 runes", strings.Repeat("é", 64), strings.Repeat("é", 64)},
	} {
		t.Run(row.name, func(t *testing.T) {
			frame, _ := json.Marshal(map[string]string{"type": "join", "room": row.room, "name": row.room})
			in, err := Decode(frame)
			if err != nil || in.Room != row.want || in.Name != row.want {
				t.Errorf("got %q, %q, %v", in.Room, in.Name, err)
			}
		})
	}
	long, _ := json.Marshal(map[string]string{"type": "join", "room": strings.Repeat("é", 65)})
	if _, err := Decode(long); err == nil {
		t.Error("a room name of 65 runes was taken: cutting it would merge two rooms")
	}
	long, _ = json.Marshal(map[string]string{"type": "join", "room": "a", "name": strings.Repeat("é", 65)})
	if in, err := Decode(long); err != nil || utf8.RuneCountInString(in.Name) != 64 {
		t.Errorf("a member name of 65 runes: %q, %v", in.Name, err)
	}
}

func TestSignalsOfTheWrongShapeAreRefused(t *testing.T) {
	for _, row := range []struct{ name, frame string }{
		{"no to", `{"type":"signal","candidates":[null]}`},
		{"nothing in it", `{"type":"signal","to":"m"}`},
		{"only nulls", `{"type":"signal","to":"m","description":null,"candidates":null}`},
		{"description a string", `{"type":"signal","to":"m","description":"v=0"}`},
		{"candidates an object", `{"type":"signal","to":"m","candidates":{}}`},
		{"candidate a number", `{"type":"signal","to":"m","candidates":[1]}`},
		{"257 candidates", `{"type":"signal","to":"m","candidates":[` + strings.Repeat("{},", 256) + `{}]}`},
	} {
		t.Run(row.name, func(t *testing.T) {
			if in, err := Decode([]byte(row.frame)); err == nil {
				t.Errorf("taken: %+v", in)
			}
		})
	}
}

func TestSignalsAreReadAlikeInOnePassAndInSeveral(t *testing.T) {
	for _, row := range []struct {
		frame string
		fast  bool
	}{
		{`{"type":"signal","to":"m","description":{"type":"offer","sdp":"v=0\r\n"}}`, true},
		{" {\t\"to\" : \"m\" ,\r\n\"type\":\"signal\", \"candidates\" : [ { } , null ,{\"a\":[1,-0.5e+7,true,false,\"\\u00e9\"]} ] } ", true},
		{`{"type":"signal","to":"m","candidates":[]}`, true},
		{`{"type":"signal","to":"茶","candidates":[{"b":{}}]}`, true},
		{`{"type":"signal","to":"\u006d","candidates":[]}`, false},
		{`{"Type":"signal","to":"m","candidates":[]}`, false},
		{`{"type":"signal","to":"m","to":"n","candidates":[]}`, false},
		{`{"type":"signal","to":"m","description":null,"candidates":[]}`, false},
		{`{"type":"signal","to":"m","description":` + strings.Repeat(`{"a":`, 17) + "1" + strings.Repeat("}", 18), false},
	} {
		in, fast := decodeSignal([]byte(row.frame))
		if fast != row.fast {
			t.Errorf("%s: in one pass: %v", row.frame, fast)
		}
		alike(t, row.frame, in, fast)
	}
	for _, frame := range []string{
		`{"type":"signal","to":"m","candidates":[]`, `{"type":"signal","to":"m","candidates":[]}}`, `{"type":"signal","to":"m","candidates":[],}`,
		`{"type":"signal","to":"m","candidates":[{},]}`, `{"type":"signal","to":"m","candidates":[nul]}`, `{"type":"signal","to":"m","description":{"a":01}}`,
		`{"type":"signal","to":"m","description":{"a":"\x"}}`, `{"type":"signal","to":"m","description":{"a":"\u00g0"}}`, "{\"type\":\"signal\",\"to\":\"m\",\"description\":{\"a\":\"\n\"}}",
		`{"type":"signal","to":"m","description":{"a":1.}}`, `{"type":"signal","to":"m","description":{"a":-}}`, `{"type":"signal","to":"m","description":{"a":1e}}`,
		`{"type":"signal","to":"m","description":{a:1}}`, `{"type":"signal","to":"m","description":{"a" 1}}`, `{"type":"signal","to":"m","description":{"a":"}}`,
	} {
		if in, fast := decodeSignal([]byte(frame)); fast {
			t.Errorf("%s is no JSON and was taken: %+v", frame, in)
		}
	}
}

// Strings are read eight bytes at a time.
func TestStringsEndWhereTheyEndWhereverThatIs(t *testing.T) {
	for before := range 20 {
		for _, row := range []struct {
			text  string
			taken int // of text; 0: it is none
		}{
			{`"`, 1},
			{`" and more that follows`, 1},
			{`\"x"12345678`, 4},
			{`\u00e9\r\n"`, 11},
			{`é!~#[]"`, 8},
			{"\x7f\x80\xff\"", 4},
			{"\x1f\"", 0},
			{"\n\"12345678", 0},
			{`\`, 0},
			{`\x"`, 0},
			{`\u00e`, 0},
			{"", 0},
			{"12345678", 0},
			{"\x00\"!!!!!!!", 0},
		} {
			start := `"` + strings.Repeat("x", before)
			text := jsonText{[]byte(start + row.text), 0}
			ok := text.skipString()
			if ok != (row.taken > 0) || ok && text.at != len(start)+row.taken {
				t.Errorf("%q: %v, to %d of %d", text.text, ok, text.at, len(text.text))
			}
		}
	}
}

// alike checks that encoding/json reads the same from a frame that decodeSignal has read.
func alike(t *testing.T, frame string, in Inbound, fast bool) {
	t.Helper()
	if !fast {
		return
	}
	slow, err := decodeAny([]byte(frame))
	if err != nil || !reflect.DeepEqual(in, slow) {
		t.Errorf("%q: %+v in one pass, %+v (%v) in several", frame, in, slow, err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, example := range examples(f) {
		f.Add(example)
	}
	f.Add([]byte(`{"type":"signal","to":"m","description":{"type":"offer"},"candidates":[{},null]}`))
	f.Add([]byte("{\"type\":\"join\",\"room\":\"\\ud800\"}"))
	f.Fuzz(func(t *testing.T, frame []byte) {
		in, err := Decode(frame)
		if err != nil {
			if len(frame) > 40 && strings.Contains(err.Error(), string(frame)) {
				t.Errorf("the error quotes the message: %v", err)
			}
			return
		}
		switch in.Type {
		case TypeJoin:
			for _, name := range []string{in.Room, in.Name} {
				if utf8.RuneCountInString(name) > MaxNameRunes || !utf8.ValidString(name) || CleanName(name) != name {
					t.Errorf("unclean name %q", name)
				}
			}
			if in.Room == "" {
				t.Error("a room without a name")
			}
		case TypeSignal:
			quick, fast := decodeSignal(frame)
			alike(t, string(frame), quick, fast)
			out := encode(&Outbound{Type: TypeSignal, From: "m", Description: in.Description, Candidates: in.Candidates})
			var back Outbound
			if err := json.Unmarshal(out, &back); err != nil {
				t.Errorf("what is passed on is not JSON: %v", err)
			}
			if len(out) > len(frame)+200 {
				t.Errorf("%d bytes in, %d out", len(frame), len(out))
			}
		}
	})
}
