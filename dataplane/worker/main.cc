// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#include "dataplane/worker/dataplane.h"
#include "dataplane/worker/supervise.h"

int main(int argc, char** argv) {
  using namespace sluice::worker;
  Options options;
  const int status = parse_options(argc, argv, options);
  if (status >= 0) return status;
  if (!options.supervise) return run_dataplane(options);
  return supervise(
      [](const void* given) { return run_dataplane(*static_cast<const Options*>(given)); },
      &options);
}
