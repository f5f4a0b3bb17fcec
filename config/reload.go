package config

import (
	"reflect"
	"slices"
)

// Changed names the keys whose values differ, "turn.min_port", in the order of the file.
func Changed(a, b Config) []string {
	before, after := newSchema(&a), newSchema(&b)
	var keys []string
	for i, e := range before.entries {
		if !e.inFile && !reflect.DeepEqual(e.target.Interface(), after.entries[i].target.Interface()) {
			keys = append(keys, e.key())
		}
	}
	return keys
}

// With returns c with the values that the named keys have in other.
func (c Config) With(other Config, keys []string) Config {
	from := newSchema(&other)
	for i, e := range newSchema(&c).entries {
		if !e.inFile && slices.Contains(keys, e.key()) {
			e.target.Set(from.entries[i].target)
		}
	}
	return c
}

// Keys names every key, in the order of the file.
func Keys() []string {
	var c Config
	var keys []string
	for _, e := range newSchema(&c).entries {
		if !e.inFile {
			keys = append(keys, e.key())
		}
	}
	return keys
}
