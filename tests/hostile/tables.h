// SPDX-License-Identifier: Apache-2.0
// Copyright the Sluice authors

#pragma once

namespace sluice::hostile {

/// Flow and limit tables full of attackers, streams with as many gaps and as small segments as
/// there may be. Prints what was measured; false: beyond a bound times `slack`.
bool check_tables(double slack);

}  // namespace sluice::hostile
