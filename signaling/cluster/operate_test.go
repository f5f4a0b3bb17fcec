package cluster

import (
	"testing"

	"github.com/duetcall/duet/signaling"
)

func TestAnOperatorReachesTheRoomsOfAllNodesFromAnyOfThem(t *testing.T) {
	_, nodes := service(t)
	ann, bo := pair(t, nodes[0], nodes[1], "tea")
	there := nodes[2].signaling
	var tea signaling.RoomState
	within(t, "the third node knows of the room", func() bool {
		rooms, err := there.Rooms(t.Context())
		if err != nil || len(rooms) != 1 || len(rooms[0].Members) != 2 {
			return false
		}
		tea = rooms[0]
		return true
	})
	if tea.Name != "tea" || tea.Members[0].Node == "" || tea.Members[0].Node == tea.Members[1].Node {
		t.Errorf("got %+v", tea)
	}
	if err := there.Kick("tea", ann.id); err != nil {
		t.Fatal(err)
	}
	if code, last := ann.closed(); code != 4460 || last.Reason != signaling.ReasonKicked {
		t.Errorf("closed with %d after %+v", code, last)
	}
	bo.member(signaling.EventLeft, ann.id)
	if err := there.End("tea"); err != nil {
		t.Fatal(err)
	}
	if code, last := bo.closed(); code != 4404 || last.Reason != signaling.ReasonEnded {
		t.Errorf("closed with %d after %+v", code, last)
	}
}
