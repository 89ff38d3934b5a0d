import { ServiceError } from '../common/errors/service-error.js';

/** 404: no rule of that id. */
export class PricingRuleNotFound extends ServiceError {
  constructor() {
    super(404, 'pricing.rule_not_found', 'Pricing rule not found');
  }
}

/** 409: the period overlaps another rule of the model. */
export class PricingOverlap extends ServiceError {
  constructor() {
    super(409, 'pricing.overlap', 'The period overlaps another rule of this model', {
      errors: [{ field: 'effectiveFrom', message: 'the period overlaps another rule of this model' }],
    });
  }
}

/** 409: the rule's period is over; history does not change. */
export class PricingRuleEnded extends ServiceError {
  constructor() {
    super(409, 'pricing.rule_ended', 'The rule has already ended');
  }
}

/** 409: built-in rules stay; a rule of one's own comes before them. */
export class PricingRuleBuiltIn extends ServiceError {
  constructor() {
    super(409, 'pricing.rule_built_in', 'The rule is built in: create a rule for the model instead');
  }
}

/** 409: the name is an alias already. */
export class AliasExists extends ServiceError {
  constructor() {
    super(409, 'pricing.alias_exists', 'This alias exists already', {
      errors: [{ field: 'alias', message: 'is an alias already: delete it first' }],
    });
  }
}

/** 404: no alias of that id. */
export class AliasNotFound extends ServiceError {
  constructor() {
    super(404, 'pricing.alias_not_found', 'Alias not found');
  }
}

/** 422: the model has no price and UNPRICED_MODEL_POLICY is `reject`. */
export class UnpricedModel extends ServiceError {
  constructor() {
    super(422, 'pricing.unpriced_model', 'This model has no price', {
      errors: [{ field: 'modelId', message: 'has no price' }],
    });
  }
}
