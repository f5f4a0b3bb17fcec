package webhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/duetcall/duet/config"
)

const (
	// postTimeout is how long one request may take, with its answer.
	postTimeout = 5 * time.Second
	// maxAnswer bounds the body of an answer, in bytes.
	maxAnswer = 64 << 10
	// maxIdle is how many connections are kept open: as many as are used at once.
	maxIdle = 64
)

// errUnread is that of an answer whose status is good and whose body is not.
var errUnread = errors.New("the answer cannot be read")

// statusError is an answer that is not the one that was hoped for.
type statusError struct {
	status     int
	retryAfter time.Duration
}

func (e *statusError) Error() string {
	if e.status/100 == 3 {
		return fmt.Sprintf("answered with status %d: redirects are not followed", e.status)
	}
	return fmt.Sprintf("answered with status %d", e.status)
}

// client posts signed JSON. It is safe for concurrent use.
type client struct{ http *http.Client }

func newClient() *client {
	return &client{&http.Client{
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			ForceAttemptHTTP2:      true,
			MaxIdleConnsPerHost:    maxIdle,
			IdleConnTimeout:        90 * time.Second,
			MaxResponseHeaderBytes: 16 << 10,
			DisableCompression:     true,
		},
		// What is signed for one URL is for no other.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (c *client) close() { c.http.CloseIdleConnections() }

// post sends body and returns the answer to it, which has a status of 200 to 299. Its errors name no URL,
// which may hold a secret.
func (c *client) post(ctx context.Context, to string, secret config.Secret, id string, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, postTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return nil, plain(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "duet")
	sign(req.Header, secret, id, time.Now(), body)
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, plain(err)
	}
	defer func() { _ = resp.Body.Close() }() // only read from
	// It is read to its end for the connection to be used again.
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case resp.StatusCode/100 != 2:
		return nil, &statusError{resp.StatusCode, retryAfter(resp.Header)}
	case err != nil:
		return nil, fmt.Errorf("%w: %w", errUnread, plain(err))
	case len(answer) > maxAnswer:
		return nil, fmt.Errorf("%w: it is longer than %d KiB", errUnread, maxAnswer>>10)
	}
	return answer, nil
}

// plain strips the URL from an error of package net/http.
func plain(err error) error {
	if named, ok := errors.AsType[*url.Error](err); ok {
		return named.Err
	}
	return err
}

// retryAfter is when the receiver wants to hear from us again, 0 if it does not say so in seconds.
func retryAfter(header http.Header) time.Duration {
	seconds, err := strconv.ParseUint(header.Get("Retry-After"), 10, 16)
	if err != nil {
		return 0
	}
	return time.Duration(seconds) * time.Second
}
