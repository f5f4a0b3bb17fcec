package main

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"

	"github.com/duetcall/duet/config"
)

// described are the operations of openapi.json, "GET /v1/ice".
func described(t *testing.T) (operations []string) {
	t.Helper()
	var doc struct {
		Paths map[string]map[string]any
	}
	if err := json.Unmarshal(openAPI, &doc); err != nil {
		t.Fatal(err)
	}
	for path, methods := range doc.Paths {
		for method := range methods {
			operations = append(operations, strings.ToUpper(method)+" "+path)
		}
	}
	slices.Sort(operations)
	return operations
}

func TestOpenAPIDescribesWhatIsServedAndNothingElse(t *testing.T) {
	s := new(server)
	var served []string
	for pattern := range s.programRoutes() {
		served = append(served, pattern)
	}
	for pattern := range s.adminRoutes() {
		served = append(served, pattern)
	}
	slices.Sort(served)
	if got := described(t); !slices.Equal(got, served) {
		t.Errorf("described are\n%s\nserved are\n%s", strings.Join(got, "\n"), strings.Join(served, "\n"))
	}
}

func TestWhatIsAnsweredIsAsOpenAPISays(t *testing.T) {
	document, err := libopenapi.NewDocument(openAPI)
	if err != nil {
		t.Fatal(err)
	}
	checks, errs := validator.NewValidator(document)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	if ok, problems := checks.ValidateDocument(); !ok {
		for _, problem := range problems {
			t.Error(problem)
		}
		t.Fatal("openapi.json is no OpenAPI document")
	}

	s, stop := startServer(t, func(cfg *config.Config) {
		cfg.API.Keys = map[string]config.Secret{"shop": shopKey}
		cfg.Admin = config.Admin{Listen: "127.0.0.1:0", Token: adminToken}
	})
	defer stop()
	var members []string
	for _, room := range []string{"tea", "coffee"} {
		ws, joined := join(t, s, room)
		defer ws.Close()
		members = append(members, joined.Self.ID)
	}
	front, admin := s.url(), "http://"+s.admin.Addr().String()
	tried := make(map[string]bool)
	for _, row := range []struct {
		operation, at, path, token string
		status                     int
	}{
		{"GET /v1/ice", front, "/v1/ice", shopKey, 200},
		{"GET /v1/ice", front, "/v1/ice?service=turn&username=ann&ttl=600", shopKey, 200},
		{"GET /v1/ice", front, "/v1/ice?ttl=600&username=m_x", shopKey, 400},
		{"GET /v1/ice", front, "/v1/ice", "wrong", 401},
		{"POST /v1/ice", front, "/v1/ice", shopKey, 200},
		{"GET /v1/openapi.json", front, "/v1/openapi.json", "", 200},
		{"GET /healthz", front, "/healthz", "", 200},
		{"GET /readyz", front, "/readyz", "", 200},
		{"GET /v1/admin/rooms", admin, "/v1/admin/rooms", adminToken, 200},
		{"GET /v1/admin/rooms", admin, "/v1/admin/rooms", "wrong", 401},
		{"GET /v1/admin/rooms/{room}", admin, "/v1/admin/rooms/tea", adminToken, 200},
		{"GET /v1/admin/rooms/{room}", admin, "/v1/admin/rooms/water", adminToken, 404},
		{"DELETE /v1/admin/rooms/{room}/members/{member}", admin, "/v1/admin/rooms/tea/members/" + members[0], adminToken, 204},
		{"DELETE /v1/admin/rooms/{room}", admin, "/v1/admin/rooms/coffee", adminToken, 204},
	} {
		tried[row.operation] = true
		method, _, _ := strings.Cut(row.operation, " ")
		request, err := http.NewRequestWithContext(t.Context(), method, row.at+row.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if row.token != "" {
			request.Header.Set("Authorization", "Bearer "+row.token)
		}
		resp, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != row.status {
			t.Errorf("%s %s: %s, want %d", method, row.path, resp.Status, row.status)
		}
		if ok, problems := checks.ValidateHttpRequestResponse(request, resp); !ok {
			for _, problem := range problems {
				t.Errorf("%s %s: %v", method, row.path, problem)
			}
		}
		_ = resp.Body.Close()
	}
	for _, operation := range described(t) {
		if !tried[operation] {
			t.Errorf("%s was not tried", operation)
		}
	}
}
