package web_test

import (
	"encoding/xml"
	"fmt"
	"image"
	"image/color"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"

	"github.com/duetcall/duet/web"
)

// draw draws what serveQR writes, some pixels a module.
func draw(t *testing.T, svg string) image.Image {
	t.Helper()
	var picture struct {
		ViewBox string `xml:"viewBox,attr"`
		Paths   []struct {
			D string `xml:"d,attr"`
		} `xml:"path"`
	}
	if err := xml.Unmarshal([]byte(svg), &picture); err != nil || len(picture.Paths) != 2 {
		t.Fatalf("%s: %v", svg, err)
	}
	var size int
	if _, err := fmt.Sscanf(picture.ViewBox, "0 0 %d", &size); err != nil {
		t.Fatal(err)
	}
	const module = 5
	canvas := image.NewGray(image.Rect(0, 0, size*module, size*module))
	for i := range canvas.Pix {
		canvas.Pix[i] = 0xff
	}
	for _, run := range strings.Split(strings.TrimSuffix(picture.Paths[1].D, "z"), "z") {
		var x, y, length, back int
		if _, err := fmt.Sscanf(run, "M%d %dh%dv1h-%d", &x, &y, &length, &back); err != nil || length != back {
			t.Fatalf("%q: %v", run, err)
		}
		for py := y * module; py < (y+1)*module; py++ {
			for px := x * module; px < (x+length)*module; px++ {
				canvas.SetGray(px, py, color.Gray{})
			}
		}
	}
	return canvas
}

func post(text string) *http.Response {
	answer := httptest.NewRecorder()
	web.Handler(nobody).ServeHTTP(answer, httptest.NewRequest(http.MethodPost, "/qr", strings.NewReader(text)))
	return answer.Result()
}

func TestAQRCodeIsReadByAPhone(t *testing.T) {
	for _, text := range []string{
		"https://call.example.org/#k7q2m-x9d4t-8w3ra-p5v6n",
		"https://call.example.org:8443/#" + strings.Repeat("%E8%8C%B6", 20) + "&key=sesame",
		"x", "茶", "<script>", strings.Repeat("a", 512),
	} {
		resp := post(text)
		svg, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "image/svg+xml" || resp.Header.Get("Cache-Control") != "no-store" {
			t.Fatalf("%q is answered with %s, %v", text, resp.Status, resp.Header)
		}
		bitmap, err := gozxing.NewBinaryBitmapFromImage(draw(t, string(svg)))
		if err != nil {
			t.Fatal(err)
		}
		got, err := qrcode.NewQRCodeReader().Decode(bitmap, map[gozxing.DecodeHintType]any{gozxing.DecodeHintType_CHARACTER_SET: "UTF-8"})
		if err != nil || got.GetText() != text {
			t.Errorf("%q is read as %v, %v", text, got, err)
		}
	}
}

func TestWhatIsNoTextForAQRCodeIsRefused(t *testing.T) {
	for _, text := range []string{"", strings.Repeat("a", 513), "\xff"} {
		if resp := post(text); resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%.20q is answered with %s", text, resp.Status)
		}
	}
	answer := httptest.NewRecorder()
	web.Handler(nobody).ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/qr", nil))
	if answer.Code != http.StatusNotFound {
		t.Errorf("GET /qr is answered with %d", answer.Code)
	}
}
