#include "app/verb.h"

int main(int argc, char** argv) { return concerto::app::run_program(argc, argv, concerto::app::all_verbs()); }
