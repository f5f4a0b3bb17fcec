package signaling

import (
	"encoding/binary"
	"encoding/json"
	"math/bits"
	"strconv"
)

// Nearly all that members send are signals, and they are long. This file reads and writes them
// in one pass each, where encoding/json takes several.

// maxNesting bounds how deep a signal may be nested to be read here. Browsers nest one deep.
const maxNesting = 16

// decodeSignal reads a signal in plain form: the keys "type", "to", "description" and
// "candidates", once each at most, and no escapes in "type" and "to". It reports false for anything else, right or wrong,
// which is Decode's to read. The frame must be UTF-8; what is returned refers to it.
func decodeSignal(frame []byte) (in Inbound, ok bool) {
	text := jsonText{frame, 0}
	if !text.is('{') {
		return in, false
	}
	for more := true; more; more = text.is(',') {
		key, plain := text.string()
		if !plain || !text.is(':') {
			return in, false
		}
		switch string(key) {
		case "type":
			kind, plain := text.string()
			if !plain || in.Type != "" || string(kind) != string(TypeSignal) {
				return in, false
			}
			in.Type = TypeSignal
		case "to":
			to, plain := text.string()
			if !plain || in.To != "" || len(to) == 0 {
				return in, false
			}
			in.To = string(to)
		case "description":
			if in.Description != nil || text.peek() != '{' {
				return in, false
			}
			if in.Description = text.value(maxNesting); in.Description == nil {
				return in, false
			}
		case "candidates":
			if in.Candidates != nil {
				return in, false
			}
			if in.Candidates = text.candidates(); in.Candidates == nil {
				return in, false
			}
		default:
			return in, false
		}
	}
	complete := in.Type != "" && in.To != "" && (in.Description != nil || in.Candidates != nil)
	return in, text.is('}') && text.peek() == 0 && text.at == len(frame) && complete
}

// appendSignal writes a signal of the server's: Description and Candidates are
// valid, and ids need no escapes.
func appendSignal(frame []byte, out *Outbound) []byte {
	frame = append(frame, `{"type":"signal"`...)
	if out.Seq > 0 {
		frame = append(frame, `,"seq":`...)
		frame = strconv.AppendUint(frame, out.Seq, 10)
	}
	frame = append(frame, `,"from":"`...)
	frame = append(frame, out.From...)
	frame = append(frame, '"')
	if out.Description != nil {
		frame = append(frame, `,"description":`...)
		frame = append(frame, out.Description...)
	}
	if out.Candidates != nil {
		frame = append(frame, `,"candidates":`...)
		frame = append(frame, out.Candidates...)
	}
	return append(frame, '}')
}

// jsonText reads JSON (RFC 8259) from left to right.
type jsonText struct {
	text []byte
	at   int
}

// peek returns the next byte that is not white space, 0 at the end.
func (j *jsonText) peek() byte {
	for ; j.at < len(j.text); j.at++ {
		switch c := j.text[j.at]; c {
		case ' ', '\t', '\n', '\r':
		default:
			return c
		}
	}
	return 0
}

// is takes the next byte if it is c.
func (j *jsonText) is(c byte) bool {
	if j.peek() != c {
		return false
	}
	j.at++
	return true
}

// candidates takes an array of at most maxCandidates objects and nulls, and returns nil for
// anything else.
func (j *jsonText) candidates() json.RawMessage {
	j.peek()
	from := j.at
	if !j.is('[') {
		return nil
	}
	if j.is(']') {
		return j.text[from:j.at]
	}
	for range maxCandidates {
		if c := j.peek(); c != '{' && c != 'n' || j.value(maxNesting) == nil {
			return nil
		}
		if j.is(']') {
			return j.text[from:j.at]
		}
		if !j.is(',') {
			return nil
		}
	}
	return nil
}

// value takes one value that is nested no deeper than depth, and returns it, nil if there is none.
func (j *jsonText) value(depth int) json.RawMessage {
	c := j.peek()
	from := j.at
	var ok bool
	switch c {
	case '{':
		ok = j.members(depth, '}', true)
	case '[':
		ok = j.members(depth, ']', false)
	case '"':
		ok = j.skipString()
	case 't':
		ok = j.word("true")
	case 'f':
		ok = j.word("false")
	case 'n':
		ok = j.word("null")
	default:
		ok = j.number()
	}
	if !ok {
		return nil
	}
	return j.text[from:j.at]
}

// members takes an object or an array, at whose first byte it is.
func (j *jsonText) members(depth int, end byte, named bool) bool {
	j.at++
	if depth == 0 {
		return false
	}
	if j.is(end) {
		return true
	}
	for {
		if named && (j.peek() != '"' || !j.skipString() || !j.is(':')) || j.value(depth-1) == nil {
			return false
		}
		if j.is(end) {
			return true
		}
		if !j.is(',') {
			return false
		}
	}
}

// string takes a string without escapes and returns what is between its quotes, and false if there is none.
func (j *jsonText) string() (s []byte, ok bool) {
	if !j.is('"') {
		return nil, false
	}
	from := j.at
	for ; j.at < len(j.text); j.at++ {
		switch c := j.text[j.at]; {
		case c == '"':
			j.at++
			return j.text[from : j.at-1], true
		case c == '\\', c < ' ':
			return nil, false
		}
	}
	return nil, false
}

// skipString takes a string, at whose quote it is.
func (j *jsonText) skipString() bool {
	text := j.text
	for i := j.at + 1; i < len(text); i++ {
		for i+8 <= len(text) {
			n := plain(binary.LittleEndian.Uint64(text[i:]))
			i += n
			if n < 8 {
				break
			}
		}
		if i == len(text) {
			return false
		}
		c := text[i]
		if c != '"' && c != '\\' && c >= ' ' {
			continue
		}
		if c == '"' {
			j.at = i + 1
			return true
		}
		i++
		if c != '\\' || i == len(text) {
			return false
		}
		switch text[i] {
		case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		case 'u':
			if i+4 >= len(text) || !hex(text[i+1:i+5]) {
				return false
			}
			i += 4
		default:
			return false
		}
	}
	return false
}

// plain is how many of eight bytes, the lowest first, come before a quote, a backslash or a control character. Each
// is looked for in all bytes at once; what a byte borrows from the next, it borrows after the first that is found.
func plain(eight uint64) int {
	const each, high = 0x01_01_01_01_01_01_01_01, 0x80_80_80_80_80_80_80_80
	quote, backslash := eight^'"'*each, eight^'\\'*each
	control := (eight - ' '*each) &^ eight
	found := (control | (quote-each)&^quote | (backslash-each)&^backslash) & high
	return bits.TrailingZeros64(found) / 8
}

func hex(digits []byte) bool {
	for _, d := range digits {
		if (d < '0' || d > '9') && (d|0x20 < 'a' || d|0x20 > 'f') {
			return false
		}
	}
	return true
}

// word takes a literal name.
func (j *jsonText) word(word string) bool {
	if len(j.text)-j.at < len(word) || string(j.text[j.at:j.at+len(word)]) != word {
		return false
	}
	j.at += len(word)
	return true
}

// number takes a number.
func (j *jsonText) number() bool {
	_ = j.word("-")
	if !j.word("0") && !j.digits() {
		return false
	}
	if j.word(".") && !j.digits() {
		return false
	}
	if j.word("e") || j.word("E") {
		_ = j.word("+") || j.word("-")
		return j.digits()
	}
	return true
}

// digits takes at least one digit.
func (j *jsonText) digits() bool {
	from := j.at
	for j.at < len(j.text) && j.text[j.at] >= '0' && j.text[j.at] <= '9' {
		j.at++
	}
	return j.at > from
}
