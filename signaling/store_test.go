package signaling_test

import (
	"testing"

	"github.com/duetcall/duet/signaling"
	"github.com/duetcall/duet/signaling/storetest"
)

func TestTheStoreInMemoryIsAStore(t *testing.T) {
	memory := signaling.NewMemory()
	storetest.Run(t, memory)
	if rooms, err := memory.Rooms(t.Context()); err != nil || len(rooms) != 0 {
		t.Errorf("%d rooms are left, %v", len(rooms), err)
	}
}
