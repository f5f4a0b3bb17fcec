package web

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"strconv"
	"strings"
)

// gzipped returns content as gzip, nil where that is not smaller. It is made once, at the start.
func gzipped(content []byte) []byte {
	var buffer bytes.Buffer
	// Neither errs: the level exists, and a bytes.Buffer takes everything.
	writer, _ := gzip.NewWriterLevel(&buffer, gzip.BestCompression)
	_, _ = writer.Write(content)
	_ = writer.Close()
	if buffer.Len() >= len(content) {
		return nil
	}
	return buffer.Bytes()
}

// takesGzip tells whether a client says that it takes gzip (RFC 9110 section 12.5.3).
func takesGzip(r *http.Request) bool {
	for coding := range strings.SplitSeq(strings.Join(r.Header.Values("Accept-Encoding"), ","), ",") {
		name, weight, weighted := strings.Cut(coding, ";")
		if !strings.EqualFold(strings.TrimSpace(name), "gzip") {
			continue
		}
		quality, isQuality := strings.CutPrefix(strings.TrimSpace(weight), "q=")
		if !weighted || !isQuality {
			return true
		}
		value, err := strconv.ParseFloat(quality, 64)
		return err == nil && value > 0
	}
	return false
}
