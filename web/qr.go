package web

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"unicode/utf8"

	"rsc.io/qr"
)

// maxQRText bounds what a QR code says, in bytes: an invite link with a key is shorter.
const maxQRText = 512

// quietZone is the white border of a code, in modules (ISO/IEC 18004 section 6.3.8).
const quietZone = 4

// serveQR draws the text of the request's body as a QR code, in SVG. The body is in no log: invite links
// open rooms.
func serveQR(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxQRText))
	if err != nil || len(text) == 0 || !utf8.Valid(text) {
		http.Error(w, fmt.Sprintf("Send 1 to %d bytes of text.", maxQRText), http.StatusBadRequest)
		return
	}
	code, err := qr.Encode(string(text), qr.M)
	if err != nil {
		http.Error(w, "That text is no QR code.", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "image/svg+xml")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = io.WriteString(w, svgOf(code)) // the client may be gone
}

// svgOf draws a code: black on white in dark mode, too, or cameras do not see it.
func svgOf(code *qr.Code) string {
	size := code.Size + 2*quietZone
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %[1]d" shape-rendering="crispEdges"><path fill="#fff" d="M0 0h%[1]dv%[1]dH0z"/><path d="`, size)
	for y := range code.Size {
		for x := 0; x < code.Size; x++ {
			run := 0
			for code.Black(x+run, y) { // beyond the edge all is white
				run++
			}
			if run > 0 {
				fmt.Fprintf(&b, "M%d %dh%dv1h-%[3]dz", x+quietZone, y+quietZone, run)
				x += run
			}
		}
	}
	b.WriteString(`"/></svg>`)
	return b.String()
}
