package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/duetcall/duet/relay"
)

const credentialsHelp = `The credentials are those of the TURN REST API: the user name is
"expiry:NAME", the password an HMAC of it with [turn] static_auth_secret. They open new
allocations until they expire. --json prints them for programs.

` + configHelp

func runCredentials(_ context.Context, env environment, args []string) error {
	set, file := flags("credentials")
	user := set.String("user", "", "")
	ttl := set.Duration("ttl", 0, "")
	asJSON := set.Bool("json", false, "")
	if err := parse(env, set, args); err != nil {
		return err
	}
	switch {
	case *user == "":
		return usageError{"credentials needs --user NAME: the name that logs and quotas know the holder by"}
	case strings.ContainsFunc(*user, func(r rune) bool { return r <= ' ' || r == ':' || r == 0x7f }) || len(*user) > 256:
		return usageError{"--user takes at most 256 bytes without spaces, control characters or \":\""}
	case *ttl < 0:
		return usageError{"--ttl is how long the credentials last, for example 30m or 12h"}
	}
	cfg, _, err := load(env, *file)
	if err != nil {
		return err
	}
	if cfg.Turn.StaticAuthSecret == "" {
		return errors.New("there is no [turn] static_auth_secret: a server without one makes its own at every start, " +
			"and nobody else can mint credentials for it; set static_auth_secret (or static_auth_secret_file) and restart the server")
	}
	if *ttl == 0 {
		*ttl = cfg.Turn.CredentialTTL.Std()
	}
	expires := time.Now().Add(*ttl).Truncate(time.Second)
	username, password := relay.Mint(cfg.Turn.StaticAuthSecret, *user, expires)
	if *asJSON {
		out := json.NewEncoder(env.out)
		out.SetIndent("", "  ")
		return out.Encode(map[string]any{"username": username, "password": password, "ttl": int64(ttl.Seconds()), "expires": expires.UTC()})
	}
	fmt.Fprintf(env.out, "username  %s\npassword  %s\nrealm     %s\nexpires   %s\n", username, password, cfg.Turn.Realm, expires.Format(time.RFC3339))
	return nil
}
