package client_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"

	"github.com/duetcall/duet/config"
	"github.com/duetcall/duet/signaling"
	"github.com/duetcall/duet/signaling/client"
)

// A bot that waits in a room and answers the first offer.
func Example() {
	server := signaling.New(config.Default().Signaling, signaling.Options{Log: slog.New(slog.DiscardHandler)})
	web := httptest.NewServer(server)
	defer web.Close()
	defer server.Shutdown(context.Background())
	url := "ws" + strings.TrimPrefix(web.URL, "http") + "/v1/ws"
	ctx := context.Background()

	bot, err := client.Join(ctx, url, client.Options{Room: "tea", Name: "Bot"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer bot.Close()
	answered := make(chan error, 1)
	go func() {
		for {
			event, err := bot.Next(ctx)
			switch {
			case err != nil:
				answered <- err
				return
			case event.Type == signaling.TypeSignal:
				answered <- bot.Signal(ctx, event.From, map[string]string{"type": "answer", "sdp": "v=0…"})
				return
			}
		}
	}()

	ann, err := client.Join(ctx, url, client.Options{Room: "tea", Name: "Ann"})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, member := range ann.Members() {
		fmt.Println(member.Name, "is here")
		_ = ann.Signal(ctx, member.ID, map[string]string{"type": "offer", "sdp": "v=0…"})
	}
	event, err := ann.Next(ctx)
	fmt.Println(event.Type, string(event.Description), err, <-answered)
	fmt.Println(ann.Leave(ctx))
	// Output:
	// Bot is here
	// signal {"sdp":"v=0…","type":"answer"} <nil> <nil>
	// <nil>
}
