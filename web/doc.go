// Package web is Duet's browser client: the pages, the SDK, and the handler that
// serves them from within the binary.
//
// What stands in static/ is what the browser gets: plain ES modules, no bundler.
// static/sdk is the part that other sites may import; static/ui and static/i18n
// are the pages, its first users. The pages run under a strict Content Security
// Policy, so no HTML file holds a script, a style or an event handler.
//
// The handler knows every file from the start: content, type and ETag are worked
// out once, a request is a map lookup, and no path reaches a file system.
package web
