// Package page tests the pages of trace/page in Chromium, with axe-core.
package page
