/*
 * Writes a CTF archive with libctf: types that a kernel shares with its modules, the kernel's own, and those of two
 * modules. The second argument is the size from which on dictionaries are compressed.
 */
#include <ctf-api.h>
#include <stdio.h>
#include <stdlib.h>

static ctf_dict_t *create(void)
{
	int error;
	ctf_dict_t *dict = ctf_create(&error);

	if (!dict) {
		fprintf(stderr, "ctf_create: %s\n", ctf_errmsg(error));
		exit(1);
	}
	return dict;
}

static ctf_dict_t *child_of(ctf_dict_t *parent)
{
	ctf_dict_t *dict = create();

	if (ctf_import(dict, parent) < 0 || ctf_parent_name_set(dict, "shared_ctf") < 0)
		exit(1);
	return dict;
}

int main(int argc, char **argv)
{
	const ctf_encoding_t int_encoding = { CTF_INT_SIGNED, 0, 32 };
	const ctf_encoding_t five_bits = { CTF_INT_SIGNED, 3, 5 };
	ctf_dict_t *shared = create(), *kernel, *loop, *dm;
	ctf_id_t integer, node, conflict, pointer, color, big, other, slice;

	if (argc != 3)
		return 2;
	/* struct node { int value; struct conflict *conflict; }; the conflict is declared only. */
	integer = ctf_add_integer(shared, CTF_ADD_ROOT, "int", &int_encoding);
	conflict = ctf_add_forward(shared, CTF_ADD_ROOT, "conflict", CTF_K_STRUCT);
	pointer = ctf_add_pointer(shared, CTF_ADD_ROOT, conflict);
	node = ctf_add_struct(shared, CTF_ADD_ROOT, "node");
	ctf_add_member(shared, node, "value", integer);
	ctf_add_member(shared, node, "conflict", pointer);
	ctf_update(shared);

	/* The kernel's own: struct conflict, an enumeration, variables, a structure of more than 512 MiB. */
	kernel = child_of(shared);
	conflict = ctf_add_struct(kernel, CTF_ADD_ROOT, "conflict");
	ctf_add_member(kernel, conflict, "of_kernel", integer);
	color = ctf_add_enum(kernel, CTF_ADD_ROOT, "color");
	ctf_add_enumerator(kernel, color, "RED", 1);
	ctf_add_enumerator(kernel, color, "BLUE", -7);
	big = ctf_add_struct_sized(kernel, CTF_ADD_ROOT, "big", 0x100000000ULL);
	ctf_add_member_offset(kernel, big, "first", integer, 0);
	ctf_add_member_offset(kernel, big, "last", integer, 0x7ffffffe0ULL);
	ctf_add_variable(kernel, "root_node", node);
	ctf_add_variable(kernel, "state", color);
	ctf_update(kernel);

	loop = child_of(shared);
	other = ctf_add_struct(loop, CTF_ADD_ROOT, "conflict");
	slice = ctf_add_slice(loop, CTF_ADD_NONROOT, integer, &five_bits);
	ctf_add_member(loop, other, "of_loop", integer);
	ctf_add_member_offset(loop, other, "bits", slice, 32);
	ctf_add_variable(loop, "state", node);
	ctf_update(loop);

	dm = child_of(shared);
	other = ctf_add_struct(dm, CTF_ADD_ROOT, "only_dm");
	ctf_add_member(dm, other, "node", node);
	ctf_update(dm);

	ctf_dict_t *dicts[] = { shared, kernel, loop, dm };
	const char *names[] = { "shared_ctf", "vmlinux", "loop", "dm_mod" };
	int error = ctf_arc_write(argv[1], dicts, 4, names, strtoul(argv[2], NULL, 0));

	if (error) {
		fprintf(stderr, "ctf_arc_write: %s\n", ctf_errmsg(error));
		return 1;
	}
	return 0;
}
