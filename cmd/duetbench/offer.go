package main

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// offerBytes is about the size of an offer with audio, video and data.
const offerBytes = 2400

// The session id in an SDP's o= line tells when the offer was sent: nanoseconds of Unix
// time, which have stampDigits digits until the year 2286.
const (
	stampAfter  = `v=0\r\no=- `
	stampDigits = 19
)

// description is the JSON of an RTCSessionDescription of offerBytes, to be stamped.
func description() string {
	sdp := stampAfter + strings.Repeat("0", stampDigits) + ` 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n` +
		`m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126\r\nc=IN IP4 0.0.0.0\r\n`
	for i := 1; len(sdp) < offerBytes; i++ {
		sdp += fmt.Sprintf(`a=extmap:%d urn:ietf:params:rtp-hdrext:sdes:mid\r\n`, i)
	}
	return `{"type":"offer","sdp":"` + sdp + `"}`
}

// errNoStamp is a description that is not ours.
var errNoStamp = errors.New("an offer arrived without its SDP")

// stamp writes the time into a frame with a description.
func stamp(frame []byte, now time.Time) error {
	at := bytes.Index(frame, []byte(stampAfter)) + len(stampAfter)
	if at < len(stampAfter) || at+stampDigits > len(frame) {
		return errNoStamp
	}
	strconv.AppendInt(frame[:at], now.UnixNano(), 10)
	return nil
}

// stamped reads it.
func stamped(frame []byte) (time.Time, error) {
	_, rest, found := bytes.Cut(frame, []byte(stampAfter))
	if !found || len(rest) < stampDigits {
		return time.Time{}, errNoStamp
	}
	nanos, err := strconv.ParseInt(string(rest[:stampDigits]), 10, 64)
	return time.Unix(0, nanos), err
}
