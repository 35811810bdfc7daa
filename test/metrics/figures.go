package main

import (
	"fmt"
	"go/ast"
	"go/token"
	"io"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"
)

// A most is the largest of something, and whose it is.
type most struct {
	n    int
	what string
}

func (m *most) add(n int, what string) {
	if n > m.n {
		*m = most{n, what}
	}
}

// figures are what is told of a room.
type figures struct {
	sizes                 []int // of its files, in lines
	exported, missing     int   // exported names and fields; those without a doc comment
	code, comments, cites int   // lines that are not blank; those that are comments; mentions of an RFC
	file, function        most
	complexity, fields    most
}

func (f *figures) lines() int {
	n := 0
	for _, size := range f.sizes {
		n += size
	}
	return n
}

// join adds the figures of another room.
func (f *figures) join(o *figures) {
	f.sizes = append(f.sizes, o.sizes...)
	f.exported += o.exported
	f.missing += o.missing
	f.code += o.code
	f.comments += o.comments
	f.cites += o.cites
	f.file.add(o.file.n, o.file.what)
	f.function.add(o.function.n, o.function.what)
	f.complexity.add(o.complexity.n, o.complexity.what)
	f.fields.add(o.fields.n, o.fields.what)
}

var cite = regexp.MustCompile(`\bRFC \d{4}`)

// count adds a file's figures.
func (f *figures) count(s *source, in *file) {
	f.sizes = append(f.sizes, in.lines)
	f.file.add(in.lines, in.name)
	for line := range strings.Lines(in.text) {
		if strings.TrimSpace(line) != "" {
			f.code++
		}
	}
	for _, group := range in.ast.Comments {
		for _, c := range group.List {
			f.comments += strings.Count(c.Text, "\n") + 1
		}
		f.cites += len(cite.FindAllString(group.Text(), -1))
	}
	for _, fn := range functions(in) {
		lines := s.set.Position(fn.End()).Line - s.set.Position(fn.Pos()).Line + 1
		f.function.add(lines, s.line(fn.Pos())+" "+fn.Name.Name)
		f.complexity.add(complexity(fn), s.line(fn.Pos())+" "+fn.Name.Name)
	}
	for _, t := range structs(in) {
		f.fields.add(width(t.fields), s.line(t.name.Pos())+" "+t.name.Name)
	}
	names := exported(in)
	f.exported += len(names)
	for _, n := range names {
		if !n.documented {
			f.missing++
		}
	}
}

// functions are a file's functions and methods; what is written within one belongs to it.
func functions(in *file) []*ast.FuncDecl {
	var all []*ast.FuncDecl
	for _, d := range in.ast.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok {
			all = append(all, fn)
		}
	}
	return all
}

// complexity is the cyclomatic complexity: the decisions, and one.
func complexity(fn *ast.FuncDecl) int {
	n := 1
	ast.Inspect(fn, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.IfStmt, *ast.ForStmt, *ast.RangeStmt:
			n++
		case *ast.CaseClause:
			if node.List != nil {
				n++
			}
		case *ast.CommClause:
			if node.Comm != nil {
				n++
			}
		case *ast.BinaryExpr:
			if node.Op == token.LAND || node.Op == token.LOR {
				n++
			}
		}
		return true
	})
	return n
}

type structType struct {
	name   *ast.Ident
	fields *ast.FieldList
}

// structs are a file's named struct types.
func structs(in *file) []structType {
	var all []structType
	ast.Inspect(in.ast, func(n ast.Node) bool {
		if spec, ok := n.(*ast.TypeSpec); ok {
			if t, ok := spec.Type.(*ast.StructType); ok {
				all = append(all, structType{spec.Name, t.Fields})
			}
		}
		return true
	})
	return all
}

// width is the number of fields: an embedded one is one.
func width(fields *ast.FieldList) int {
	n := 0
	for _, f := range fields.List {
		n += max(1, len(f.Names))
	}
	return n
}

// A name is exported: a constant, variable, function, type, method or field.
type name struct {
	ident      *ast.Ident
	of         string // the type that it belongs to, with a dot
	documented bool
}

func exported(in *file) []name {
	var all []name
	add := func(of string, documented bool, idents ...*ast.Ident) {
		for i, id := range idents {
			if id.IsExported() {
				all = append(all, name{id, of, documented && i == 0})
			}
		}
	}
	for _, d := range in.ast.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if of, ok := receiver(d); ok {
				add(of, d.Doc != nil, d.Name)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch spec := spec.(type) {
				case *ast.ValueSpec:
					// A group of constants is shown together with its comment.
					own := spec.Doc != nil || spec.Comment != nil
					for _, id := range spec.Names {
						add("", own || d.Doc != nil, id)
					}
				case *ast.TypeSpec:
					add("", spec.Doc != nil || d.Doc != nil && len(d.Specs) == 1, spec.Name)
					if t, ok := spec.Type.(*ast.StructType); ok && spec.Name.IsExported() {
						for _, f := range t.Fields.List {
							add(spec.Name.Name+".", f.Doc != nil || f.Comment != nil, f.Names...)
						}
					}
				}
			}
		}
	}
	return all
}

// receiver is the type that a method belongs to, "" for a function; not ok if the type is
// not exported.
func receiver(d *ast.FuncDecl) (of string, ok bool) {
	if d.Recv == nil {
		return "", true
	}
	t := d.Recv.List[0].Type
	for {
		switch u := t.(type) {
		case *ast.StarExpr:
			t = u.X
			continue
		case *ast.IndexExpr:
			t = u.X
			continue
		case *ast.Ident:
			return u.Name + ".", u.IsExported()
		}
		return "", false
	}
}

// report prints the figures, a room a line, the core's together, and where the largest are.
func (s *source) report(out io.Writer) {
	rooms := make(map[string]*figures)
	whole := &figures{}
	for _, f := range s.files {
		if rooms[f.room] == nil {
			rooms[f.room] = &figures{}
		}
		rooms[f.room].count(s, f)
	}
	names := make([]string, 0, len(rooms))
	for r := range rooms {
		names = append(names, r)
		if core(r) {
			whole.join(rooms[r])
		}
	}
	slices.Sort(names)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "room\tfiles\tlines\tmedian file\tlargest file\tlongest function\tcomplexity\twidest type\texported\twithout doc\tcomments\tRFCs/1,000 lines\t")
	print := func(r string, f *figures) {
		slices.Sort(f.sizes)
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d%%\t%.1f\t\n", r, len(f.sizes), f.lines(), f.sizes[len(f.sizes)/2], f.file.n,
			f.function.n, f.complexity.n, f.fields.n, f.exported, f.missing, 100*f.comments/f.code, 1000*float64(f.cites)/float64(f.lines()))
	}
	for _, r := range names {
		print(r, rooms[r])
	}
	print("the core", whole)
	w.Flush()
	fmt.Fprintf(out, "\nIn the core\n  largest file      %s, %d lines\n  longest function  %s, %d lines\n  most complex      %s, %d\n  widest type       %s, %d fields\n",
		whole.file.what, whole.file.n, whole.function.what, whole.function.n, whole.complexity.what, whole.complexity.n, whole.fields.what, whole.fields.n)
}
