/// Writes the page of a made-up run that fills every part of it: report_page_tool FILE.
#include "limbeck/eval/report/demo_run.h"
#include "limbeck/eval/report/html.h"

#include <fstream>

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const limbeck::test::DemoRun run = limbeck::test::demo_run();
  limbeck::ReportInput input;
  input.rows = run.rows;
  input.heads = run.heads;
  input.remarks = {"The numbers of this page are made up."};
  std::ofstream(argv[1], std::ios::binary) << limbeck::report_html(input);
  return 0;
}
