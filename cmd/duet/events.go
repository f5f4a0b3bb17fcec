package main

import (
	"github.com/duetcall/duet/signaling"
	"github.com/duetcall/duet/webhook"
)

// happened is signaling's Options.Events: the webhook is told.
func (s *server) happened(e signaling.RoomEvent) {
	event := webhook.Event{
		Type: string(e.Type), At: e.At.UTC(), Reason: string(e.Reason),
		Room: webhook.Room{Name: e.Room, ID: e.RoomID, Revision: e.Revision, Members: e.Members},
	}
	if m := e.Member; m != nil {
		event.Member = &webhook.Member{ID: m.ID, Name: m.Name, Subject: m.Subject, Host: m.Host}
	}
	s.events.Send(event)
}
