package config

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
)

// assign converts a raw value, as the TOML parser returns them, to the type of
// target. It reports what does not fit, each element of a list by itself.
func (l *loader) assign(key string, target reflect.Value, raw any) {
	if external, ok := target.Addr().Interface().(*ExternalIPs); ok {
		*external = ExternalIPs{}
		l.assignGrowing(key, target, raw)
		return
	}
	text, isString := raw.(string)
	list, isList := raw.([]any)
	table, isTable := raw.(map[string]any)
	b, isBool := raw.(bool)
	n, isInt := raw.(int64)
	switch kind := target.Kind(); {
	case isText(target) && isString:
		l.assignText(key, target, text)
	case kind == reflect.Bool && isBool:
		target.SetBool(b)
	case kind == reflect.Int && isInt && !target.OverflowInt(n):
		target.SetInt(n)
	case kind == reflect.Slice && isList:
		target.SetZero() // the empty list is nil, as in Default
		for i, element := range list {
			item := reflect.New(target.Type().Elem()).Elem()
			l.assign(elementKey(key, i), item, element)
			target.Set(reflect.Append(target, item))
		}
	case kind == reflect.Map && isTable:
		l.assignMap(key, target, table)
	default:
		l.wrongType(key, target, raw)
	}
}

// assignGrowing fills a type that is written as one string or as a list of them.
func (l *loader) assignGrowing(key string, target reflect.Value, raw any) {
	list, isList := raw.([]any)
	if !isList {
		l.assignElement(key, target, raw)
	}
	for i, element := range list {
		l.assignElement(elementKey(key, i), target, element)
	}
}

func (l *loader) assignElement(key string, target reflect.Value, raw any) {
	if text, ok := raw.(string); ok {
		l.assignText(key, target, text)
		return
	}
	l.wrongType(key, target, raw)
}

func (l *loader) assignMap(key string, target reflect.Value, table map[string]any) {
	target.SetZero()
	if len(table) > 0 {
		target.Set(reflect.MakeMapWithSize(target.Type(), len(table)))
	}
	for name, raw := range table {
		item := reflect.New(target.Type().Elem()).Elem()
		l.assign(key+"."+toml.Key{name}.String(), item, raw)
		target.SetMapIndex(reflect.ValueOf(name), item)
	}
}

func (l *loader) assignText(key string, target reflect.Value, text string) {
	pointer := target.Addr().Interface()
	if _, isPath := pointer.(*Path); isPath {
		text = l.given[key].source.beside(text)
	}
	if hint, ok := parseText(pointer, text); !ok {
		l.report(fmt.Sprintf("%s is not %s", quote(text), textWanted(pointer)), hint, key)
	}
}

// wrongType reports a value of another type than its key's.
func (l *loader) wrongType(key string, target reflect.Value, raw any) {
	wanted, hint := textWanted(target.Addr().Interface()), ""
	shown, isString := raw.(string)
	number, isNumber := raw.(int64)
	_, isSecret := target.Interface().(Secret)
	switch target.Kind() {
	case reflect.Bool:
		wanted = "true or false"
		switch strings.ToLower(shown) {
		case "true", "yes", "on", "1":
			hint = "write true without quotes"
		case "false", "no", "off", "0":
			hint = "write false without quotes"
		}
	case reflect.Int:
		wanted = "a whole number"
		if n, err := strconv.Atoi(shown); err == nil {
			hint = fmt.Sprintf("write %d without quotes", n)
		}
	case reflect.Slice:
		wanted = "a list"
		if isString {
			hint = fmt.Sprintf("write [%s]", quote(shown))
		}
	case reflect.Map:
		wanted = `a table of names and passwords`
		isSecret = true
	default:
		_, isDuration := target.Interface().(Duration)
		switch {
		case isSecret:
			hint = "write it in quotes"
		case isDuration && isNumber:
			hint = fmt.Sprintf(`did you mean "%ds"?`, number)
		case isNumber:
			hint = fmt.Sprintf(`write "%d"`, number)
		}
	}
	l.report(describe(raw, isSecret)+" is not "+wanted, hint, key)
}

// describe names a raw value and its type, the type alone if the value is secret.
func describe(raw any, secret bool) string {
	var kind, value string
	switch v := raw.(type) {
	case string:
		kind, value = "string", quote(v)
	case int64:
		kind, value = "number", strconv.FormatInt(v, 10)
	case float64:
		kind, value = "number", strconv.FormatFloat(v, 'g', -1, 64)
	case bool:
		kind, value = "value", strconv.FormatBool(v)
	case time.Time:
		return "a date"
	case map[string]any:
		return "a table"
	default:
		return "a list"
	}
	if secret {
		return "a " + kind
	}
	return "the " + kind + " " + value
}

func elementKey(key string, i int) string { return fmt.Sprintf("%s[%d]", key, i) }
