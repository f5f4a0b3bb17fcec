// Package webhook tells other programs what happens in rooms, and asks them whether
// somebody may join: HTTP POSTs of JSON, signed as Standard Webhooks has it (sign.go), so that
// their receivers can use the libraries of that. docs/webhooks.md is for them.
//
// # The life of an event
//
// Sender.Send puts it into a bounded queue and returns at once (sender.go). Run, the one
// goroutine of a Sender, takes up to maxBatch of them, posts them as one delivery (client.go) and repeats that
// with growing pauses until the receiver has answered 2xx, or they are too old; only then
// does it take the next. So a receiver sees them in order, some perhaps twice, and sees by their numbers if some
// are missing. When Run's context ends, what is left is posted once more, for a few seconds.
//
// # The life of a question
//
// Asker.Ask posts it and reads the answer (question.go), once: whoever wants to join tries
// again. An answer that is late, too long, a redirect or not what it must be is an error, never a yes.
package webhook
